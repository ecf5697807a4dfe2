"""One incarnation of an actor: a task that starts it, handles its mail, and sees it off.

The hot path is `_serve`: no scope, no nursery and no task a message. Whatever is unusual (paused,
asked to stop, a `Down` to handle first, mail that was held back) sets ``_detour``, one flag that
the loop looks at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.lowlevel import current_task

from ._actor import Actor, Entry
from ._context import Context
from ._crash import CrashReport, make_report, split
from ._errors import ActorCrashed, ActorStopped, StartTimeout, UnknownMessage
from ._exit import Exit
from ._message import Down
from ._request import Request
from ._waits import current_actor

if TYPE_CHECKING:
    from ._cell import Cell
    from ._mailbox import Mail

BATCH: Final = 64
"""Messages handled in a row before other tasks get their turn."""


class Incarnation:
    """One life of the actor at a `Cell`."""

    def __init__(self, cell: Cell, number: int) -> None:
        self.cell = cell
        self.number = number
        self.settled = trio.Event()
        """Ready, or down."""
        self.down = trio.Event()
        self.was_ready = False
        self.exit = Exit("stopped")
        self._actor: Actor | None = None
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._loop = trio.CancelScope()
        self._idle = False
        """The loop is parked, and holds no mail: ``_loop`` can be cancelled without a loss."""
        self._detour = False
        self._stopping = False
        self._asked_to_stop = False
        self._resumed = trio.Event()
        self._current: Mail | None = None
        self._phase = "starting"
        self._ready_at = 0.0
        self._monitored: set[Cell] = set()

    # The life.

    async def run(self) -> None:
        """Live. Raises only what belongs to those outside, such as `trio.Cancelled`."""
        current_actor.set(self.cell)
        self.cell.main_task = current_task()
        fault: Exception | None = None
        try:
            with self._scope:
                await self._live()
        except BaseException as raised:  # noqa: ASYNC103, BLE001 -- what is foreign goes on
            fault, foreign = split(raised)
            if foreign is not None:
                raise foreign from None  # noqa: ASYNC104 -- in it is all of Cancelled
        finally:
            self._end(fault)

    async def _live(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._start()
            with self.cell.box.receiver() as receiver:
                while not self._stopping:
                    with trio.CancelScope() as self._loop:
                        await self._serve(receiver)
            self._phase = "stopping"
            if self._actor is not None:
                await self._actor.on_stop()
            nursery.cancel_scope.cancel()

    async def _start(self) -> None:
        cell = self.cell
        actor = cell.spec.factory()
        self._actor = actor
        actor.context = Context(self)
        cell.adopt(actor)
        timeout = cell.spec.start_timeout
        with trio.move_on_after(timeout) as patience:
            await actor.on_start()
        if patience.cancelled_caught:
            raise StartTimeout(f"not ready within {timeout:g} s")
        self._phase = "idle"
        self._ready_at = trio.current_time()
        self._detour = self._detour or cell.paused or cell.held is not None
        self.was_ready = True
        if not self._stopping:
            cell.ready()
            self.settled.set()

    async def _serve(self, receiver: trio.MemoryReceiveChannel[Mail]) -> None:
        """Handle mail, one at a time, until interrupted or asked to stop."""
        cell, actor = self.cell, self._actor
        self._idle = False
        row = 0
        while not self._stopping:
            if cell.paused:
                await self._rest()
                return
            mail = self._pick(receiver) if row < BATCH or self._detour else None
            row += 1
            if mail is None:
                row = 0
                mail = await self._receive(receiver)
                if mail is None:
                    return
            entry = self._begin(mail)
            if entry is None:
                continue
            try:
                reply = entry.function(actor, mail.message if isinstance(mail, Request) else mail)
                if entry.is_async:
                    reply = await reply
            except entry.raises as declared:
                self._finish_with(mail, declared)
            else:
                self._finish(mail, reply)

    def _pick(self, receiver: trio.MemoryReceiveChannel[Mail]) -> Mail | None:
        """Mail that is there already; None if there is none."""
        cell = self.cell
        if self._detour:
            mail = self._unusual_mail()
            if mail is not None:
                return mail
        if not cell.box.queued:
            return None
        try:
            mail = receiver.receive_nowait()
        except trio.WouldBlock:  # its sender was cancelled, and has not run since
            return None
        cell.box.queued -= 1
        return mail

    async def _receive(self, receiver: trio.MemoryReceiveChannel[Mail]) -> Mail | None:
        """Wait for mail; None if it was interrupted when mail had just come."""
        self._idle = True
        mail = await receiver.receive()
        self._idle = False
        self.cell.box.queued -= 1
        if self._detour:
            self.cell.held = mail
            return None
        return mail

    def _begin(self, mail: Mail) -> Entry | None:
        """The handler of ``mail``, which is now in progress; None if there is none to call."""
        actor = self._actor
        message: Any = mail
        if isinstance(mail, Request):
            if mail.task is None:
                self.cell.abandoned += 1
                return None
            message = mail.message
        entry = actor.handlers.get(type(message)) if actor is not None else None
        if entry is None:
            self._refuse(mail)
        else:
            self._current = mail
        return entry

    def _finish(self, mail: Mail, reply: object) -> None:
        self._current = None
        self.cell.handled += 1
        if isinstance(mail, Request) and not mail.answer(reply):
            self.cell.late_replies += 1

    def _finish_with(self, mail: Mail, error: Exception) -> None:
        self._current = None
        self.cell.handled += 1
        self.cell.declared_errors += 1
        if isinstance(mail, Request) and not mail.fail(error):
            self.cell.late_replies += 1

    async def _rest(self) -> None:
        """Wait until resumed, or interrupted."""
        self._resumed = trio.Event()
        self._idle = True
        await self._resumed.wait()

    def _unusual_mail(self) -> Mail | None:
        """What comes before the mail in the channel; None if there is nothing."""
        cell = self.cell
        mail: Mail | None = None
        if cell.urgent:
            mail = cell.urgent.popleft()
        elif cell.held is not None:
            mail, cell.held = cell.held, None
        self._detour = bool(cell.urgent) or cell.held is not None
        return mail

    def _refuse(self, mail: Mail) -> None:
        cell = self.cell
        cell.unknown += 1
        message = mail.message if isinstance(mail, Request) else mail
        why = f"{cell.path}: {cell.kind} has no handler for {type(message).__name__}"
        if isinstance(mail, Request):
            mail.fail(UnknownMessage(cell.path, why))
        else:
            cell.bury(mail, why)

    # The end.

    def _end(self, fault: Exception | None) -> None:
        cell = self.cell
        report = None if fault is None else self._report(fault, self._phase_now())
        self._let_go()
        self.exit = self._outcome(fault, report)
        self._answer_current(report)
        for target in self._monitored:
            if self in target.watchers:
                target.watchers.remove(self)
        cell.urgent.clear()
        cell.ended(self, self.exit)
        self.down.set()
        self.settled.set()

    def _let_go(self) -> None:
        if self._actor is None:
            return
        try:
            self._actor.on_end()
        except Exception as fault:  # noqa: BLE001 -- it is over; its fault is told, and that is all
            self._report(fault, "ending")

    def _outcome(self, fault: Exception | None, report: CrashReport | None) -> Exit:
        if self._asked_to_stop:
            return Exit("stopped", "", fault, report)
        if fault is not None:
            detail = f"{type(fault).__name__}" if report is None else report.reason
            return Exit("crashed", detail, fault, report)
        return Exit("left") if self._stopping else Exit("stopped")

    def _answer_current(self, report: CrashReport | None) -> None:
        mail, self._current = self._current, None
        if not isinstance(mail, Request):
            return
        path, what = self.cell.path, type(mail.message).__name__
        if report is None:
            mail.fail(ActorStopped(path, f"{path}: was stopped before it had answered {what}"))
        else:
            mail.fail(ActorCrashed(path, f"{path}: crashed on {what}: {report.reason}", report))

    def _phase_now(self) -> str:
        if self._phase == "idle":
            return "handling" if self._current is not None else "background"
        return self._phase

    def _report(self, fault: Exception, phase: str) -> CrashReport:
        cell = self.cell
        cell.crashes += 1
        mail = self._current
        report = make_report(
            path=cell.path,
            kind=cell.kind,
            incarnation=self.number,
            phase=phase,
            error=fault,
            message=mail.message if isinstance(mail, Request) else mail,
            state=self.domain_statistics(),
        )
        cell.runtime.crashed(report)
        return report

    # What others ask of it.

    def ask_to_stop(self) -> None:
        """The shutdown ladder: ask, wait for ``shutdown`` seconds, cancel. Idempotent."""
        if self._asked_to_stop:
            return
        self._asked_to_stop = True
        patience = self.cell.spec.shutdown
        if patience is None or not self.was_ready:
            self._scope.cancel()
        else:
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + patience)
        self._begin_to_stop()

    def leave(self) -> None:
        """Stop by itself, with the same bounds."""
        patience = self.cell.spec.shutdown
        if not self._stopping and patience is not None:
            self._scope.deadline = trio.current_time() + patience
        self._begin_to_stop()

    def _begin_to_stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self.cell.step("stop")
        self._interrupt()

    def _interrupt(self) -> None:
        """Have the loop look at what is unusual before it handles any more mail."""
        self._detour = True
        if self._idle:
            self._loop.cancel()

    def hold(self) -> None:
        """Handle nothing more until `release`."""
        self._interrupt()

    def release(self) -> None:
        """Go on."""
        self._resumed.set()

    def spawn(
        self,
        function: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        name: str | None,
    ) -> None:
        """Run ``function(*args)`` in the background."""
        if self._nursery is None:  # its context is of no use before
            raise RuntimeError("an actor has background tasks from on_start on")
        label = name or getattr(function, "__qualname__", repr(function))
        self._nursery.start_soon(_in_background, function, args, name=label)

    def monitor(self, target: Cell) -> None:
        """Begin to monitor the incarnation at ``target``."""
        if self._actor is None or Down not in self._actor.handlers:
            raise TypeError(f"{self.cell.kind} has no handler for Down")
        if target.life is None:
            self.deliver_down(target, Down(target.path, target.number, "absent"))
        elif self not in target.watchers:
            target.watchers.append(self)
            self._monitored.add(target)

    def demonitor(self, target: Cell) -> None:
        """Monitor it no more."""
        self._monitored.discard(target)
        if self in target.watchers:
            target.watchers.remove(self)

    def deliver_down(self, target: Cell, down: Down) -> None:
        """Put ``down`` before all other mail; it needs no room."""
        self._monitored.discard(target)
        self.cell.urgent.append(down)
        self._interrupt()

    # What can be seen of it.

    def uptime(self) -> float:
        """Seconds since it was ready; 0 if it never was."""
        return trio.current_time() - self._ready_at if self.was_ready else 0.0

    def handling(self) -> str | None:
        """The type of the message in progress."""
        mail = self._current
        if mail is None:
            return None
        return type(mail.message if isinstance(mail, Request) else mail).__name__

    def tasks(self) -> tuple[str, ...]:
        """The names of the background tasks."""
        if self._nursery is None:
            return ()
        return tuple(sorted(task.name for task in self._nursery.child_tasks))

    def domain_statistics(self) -> object:
        """What the actor says of itself."""
        if self._actor is None:
            return None
        try:
            return self._actor.statistics()
        except Exception as fault:  # noqa: BLE001 -- a snapshot must not crash who takes it
            return f"statistics() raised {type(fault).__name__}: {fault}"


async def _in_background(
    function: Callable[..., Awaitable[object]], args: tuple[object, ...]
) -> None:
    current_actor.set(None)
    await function(*args)
