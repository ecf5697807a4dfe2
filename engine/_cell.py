"""A cell: the address of one actor, and what outlives its incarnations.

The mailbox, the counters, the monitors and the lifecycle are here; what lives and dies is an
`Incarnation`. To its supervisor a cell is a child that can be started, stopped and retired.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import Task

from ._actor import Actor
from ._child import ChildSpec
from ._errors import ActorStopped, MailboxFull, StartFailed, UnknownPath
from ._exit import Exit, Parent
from ._incarnation import Incarnation
from ._latency import EVERY, Latency
from ._lifecycle import REFUSES_ASKS, UP, State, Step, follow
from ._mailbox import Box, Mail, Mailbox
from ._message import Down, Message
from ._ref import LocalRef, Ref
from ._request import Request
from ._statistics import ActorStatistics
from ._waits import Waiter, check

if TYPE_CHECKING:
    from ._runtime import Runtime


class Cell:
    """One actor's address, as its supervisor sees it."""

    def __init__(self, spec: ChildSpec, path: str, runtime: Runtime, parent: Parent) -> None:
        self.spec = spec
        self.path = path
        self.runtime = runtime
        self.timer = runtime.timer
        self.parent = parent
        self.state: State = "new"
        self.number = 0
        """Of the last incarnation."""
        self.last_uptime = 0.0
        self.life: Incarnation | None = None
        self.kind = ""
        self.paused = False
        """An operator's wish; it outlives incarnations."""
        self.box = Box(path, Mailbox(), self._on_drop)
        self.held: Mail | None = None
        """Mail that an incarnation took out, and did not begin, because it was held up."""
        self.urgent: deque[Down] = deque()
        self.watchers: list[Incarnation] = []
        """Who monitors the incarnation that lives now."""
        self.waits_for: list[Waiter] = []
        self.main_task: Task | None = None
        self.handled = self.crashes = self.restarts = self.declared_errors = 0
        self.unknown = self.timeouts = self.late_replies = self.abandoned = 0
        self.dead_letters = self.asked = 0
        self.latency = Latency()

    def __repr__(self) -> str:
        return f"<Cell {self.path!r} {self.state} #{self.number}>"

    # As an address.

    def check_asker(self, asker: Waiter) -> None:
        """Whether ``asker``'s handler may wait for this actor.

        Raises `AskCycle`, or `ActorStopped` if this is to be started only after ``asker``.
        """
        if not self.is_up() and asker in self.waits_for:
            raise ActorStopped(self.path, f"{self.path}: is started after {asker.path}")
        check(asker, self)

    def accept_request(self, request: Request) -> None:
        """Take one ask in. Raises `ActorStopped`, `MailboxFull`."""
        if self.state in REFUSES_ASKS:
            why = "has not been started yet" if self.state == "new" else "is stopped"
            raise ActorStopped(self.path, f"{self.path}: {why}")
        if not self.box.put(request):
            raise MailboxFull(self.path, f"{self.path}: the mailbox is full")
        if not self.asked % EVERY:
            request.began = trio.current_time()
        self.asked += 1

    def accept(self, message: Message[Any]) -> bool:
        """Take a message in; False: there is no room, and the policy is to refuse."""
        if self.state == "stopped":
            self.bury(message, "the actor is stopped")
            return True
        return self.box.put(message)

    async def accept_when_room(self, message: Message[Any]) -> None:
        """Take a message in as soon as there is room."""
        await self.box.put_when_room(message)

    def find(self, path: str) -> Ref:
        """The address of the actor at ``path``. Raises `UnknownPath`."""
        return find_ref(self.runtime, path)

    # As a child.

    async def start(self, nursery: trio.Nursery) -> None:
        """Start an incarnation in ``nursery``; return when it is ready. Raises `StartFailed`."""
        self.step("start")
        self.number += 1
        self.last_uptime = 0.0
        life = self.life = Incarnation(self, self.number)
        nursery.start_soon(life.run, name=f"{self.path}#{self.number}")
        await life.settled.wait()
        if not life.was_ready:
            raise StartFailed(self.path, f"{self.path}: {life.exit.detail}") from life.exit.error

    async def stop(self) -> None:
        """Bring the incarnation down by the shutdown ladder; the mail stays. Idempotent."""
        if self.life is not None:
            self.life.ask_to_stop()
            await self.life.down.wait()

    def retire(self) -> None:
        """Nobody will start it again, but for an operator: its mail becomes dead letters."""
        if self.state == "stopped":
            return
        self.step("retire")
        self.paused = False
        mail = self.box.drain()
        if self.held is not None:
            mail.insert(0, self.held)
            self.held = None
        for item in mail:
            self.bury(item, "the actor was stopped before its turn came")

    def close(self) -> None:
        """Release the mailbox; the system is over."""
        self.retire()
        self.box.close()

    # As the home of incarnations.

    def adopt(self, actor: Actor) -> None:
        """Make the mailbox the one that ``actor``'s class declares. Only the first can."""
        if not self.kind and type(actor).mailbox != self.box.declared:
            self._rebuild(type(actor).mailbox)
        self.kind = type(actor).__name__

    def step(self, step: Step) -> None:
        """Follow the lifecycle."""
        self.state = follow(self.state, step)

    def ready(self) -> None:
        """The incarnation is ready."""
        self.step("ready")
        if self.paused:
            self.step("pause")
        self.runtime.tell("started", self.path, self.number)

    def ended(self, life: Incarnation, outcome: Exit) -> None:
        """``life`` is over."""
        self.life = None
        self.main_task = None
        self.last_uptime = life.uptime()
        self.step("down")
        watchers, self.watchers = self.watchers, []
        down = Down(self.path, life.number, outcome.kind, outcome.detail)
        for watcher in watchers:
            watcher.deliver_down(self, down)
        if outcome.kind != "crashed":
            self.runtime.tell(outcome.kind, self.path, life.number, detail=outcome.detail)
        if life.was_ready and outcome.kind != "stopped":
            self.parent.child_exited(self, outcome)

    def bury(self, mail: Mail, reason: str) -> None:
        """Nobody will handle ``mail``: a dead letter, or an error to who asks."""
        if isinstance(mail, Request):
            if mail.task is None:
                self.abandoned += 1
            mail.fail(ActorStopped(self.path, f"{self.path}: {reason}"))
            return
        self.dead_letters += 1
        self.runtime.dead_letter(self.path, mail, reason)

    # For operators.

    def pause(self) -> str:
        """Handle nothing until `resume`; say what is still in progress."""
        self.step("pause")
        self.paused = True
        handling = None
        if self.life is not None:
            self.life.hold()
            handling = self.life.handling()
        self.runtime.tell("paused", self.path, self.number)
        return "" if handling is None else f"{handling} in progress is handled to its end"

    def resume(self) -> str:
        """Handle mail again; say how much waits."""
        self.step("resume")
        self.paused = False
        if self.life is not None:
            self.life.release()
        self.runtime.tell("resumed", self.path, self.number)
        waiting = self.waiting()
        return f"{waiting} {'message' if waiting == 1 else 'messages'} waited"

    def waiting(self) -> int:
        """Messages that wait to be handled."""
        return self.box.queued + (self.held is not None) + len(self.urgent)

    def cells(self) -> list[Cell]:
        """Itself; of a supervisor, all actors below it."""
        return [self]

    def is_up(self) -> bool:
        """Whether there is an incarnation."""
        return self.state in UP

    def statistics(self) -> ActorStatistics:
        """A snapshot."""
        life = self.life
        return ActorStatistics(
            path=self.path,
            kind=self.kind,
            state=self.state,
            incarnation=self.number,
            uptime=0.0 if life is None else life.uptime(),
            handled=self.handled,
            crashes=self.crashes,
            restarts=self.restarts,
            declared_errors=self.declared_errors,
            unknown=self.unknown,
            timeouts=self.timeouts,
            late_replies=self.late_replies,
            abandoned=self.abandoned,
            dead_letters=self.dead_letters,
            handling=None if life is None else life.handling(),
            tasks=() if life is None else life.tasks(),
            mailbox=self.box.statistics(self.waiting() - self.box.queued),
            domain=None if life is None else life.domain_statistics(),
            latency=self.latency.statistics(),
        )

    def _on_drop(self, mail: Mail, reason: str) -> None:
        if isinstance(mail, Request):
            mail.fail(MailboxFull(self.path, f"{self.path}: {reason}"))
        else:
            self.dead_letters += 1
            self.runtime.dead_letter(self.path, mail, reason)

    def _rebuild(self, declared: Mailbox) -> None:
        waiting = self.box.drain()
        self.box.close()
        self.box = Box(self.path, declared, self._on_drop)
        for mail in waiting:
            if not self.box.put(mail):
                self._on_drop(mail, "the mailbox that the actor declares is smaller")


def find_ref(runtime: Runtime, path: str) -> Ref:
    """The address of the actor at ``path``. Raises `UnknownPath`, which names what exists.

    In a system with links, ``path@process`` is one of another process.
    """
    if "@" in path and runtime.links is not None:
        return runtime.links.ref(path)
    cell = runtime.cells.get(path)
    if cell is None:
        what = "is a supervisor, not an actor" if path in runtime.supervisors else "does not exist"
        raise UnknownPath(f"{path!r} {what}; actors are: {', '.join(sorted(runtime.cells))}")
    return LocalRef(cell)
