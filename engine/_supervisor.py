"""Supervisors, and what the engine promises.

The promises, sentence by sentence; a test cites each.

*Child specifications.* A child has an id, a start, a restart type (permanent, transient or
temporary), a shutdown time and a significance. Nonsense combinations are rejected when declared.
A permanent child is always restarted; a transient one only after a crash; a temporary one never.
A supervisor with auto_shutdown ends when any, or all, of its significant children have ended by
themselves.

*Order.* Children start from left to right. Children stop from right to left. Start is
synchronous: the parent goes on when the child says it is ready. A child that is not ready when
its start deadline passes has failed to start. A tree whose first start fails is stopped again and
says why.

*Strategies.* one_for_one restarts the child that crashed. one_for_all restarts all children.
rest_for_one restarts the child and those that were started after it. A temporary child that a
strategy took down does not come back. What an operator stopped stays stopped.

*Intensity.* More restarts than the intensity within the period, and the supervisor gives up. Its
parent then decides. A root that gives up ends the system with `SupervisorGaveUp`. A failed start
counts as a restart. An operator's restart does not count.

*Backoff.* The first restart is immediate. Further restarts in a row wait longer, with jitter. An
incarnation that stayed healthy starts the row anew. An operator is not kept waiting by a backoff.

*Shutdown ladder.* A child is asked to stop, waited for, and then cancelled. The message in
progress is handled to its end first. A child whose shutdown is None is cancelled at once. A child
that is cancelled is cancelled with all its background tasks. A system that is cancelled from
outside still stops in order, within its grace.

*Addresses.* An address outlives the actor behind it. The mailbox belongs to the supervisor: mail
that waits during a restart is delivered after it. Mail of an actor that is stopped for good
becomes dead letters, and its askers are told.

*Asks.* An ask has a deadline. Asking an actor that is stopped, or was never started, fails at
once. The asker whose message crashed the actor is told at once. A late reply is dropped and
counted. A message whose asker has gone before its turn is not handled. Asking oneself is an
error and not a hang. Asking in a circle is an error and not a hang, also when two handlers ask
each other at the same time. Asking, while starting, an actor that is started afterwards fails at
once. A message without a handler is refused to its sender and crashes nobody. An exception that
the handler declares goes to the asker and crashes nobody.

*Mailboxes.* Mailboxes are bounded. What does not fit is refused, or dropped by declared policy.
Every overflow is counted. Dead letters are counted, and the last few can be inspected.

*Monitors.* Who monitors an actor is told once when its incarnation ends. Who monitors an actor
that is not there is told at once. A `Down` needs no room and comes before other mail.

*Background tasks.* A background task belongs to its incarnation. Its crash is the actor's crash.

*Operators.* An operator may inspect, pause, resume, restart and stop any actor, live. A command
returns what it did, or raises an error that says why not. While paused, the mailbox fills and
nothing is handled. A pause outlives a restart. A command that was begun is finished, even if the
operator has gone.

*Sight.* Every actor, mailbox, supervisor and the system has a frozen snapshot. The tree can be
dumped, as data and as text. A crash report holds the reason, the message and the state, with
secrets redacted. A hook is told of starts, crashes, restarts and ends; its own faults harm nobody.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from ._backoff import Row
from ._cell import Cell
from ._child import ChildSpec, SupervisorSpec
from ._errors import NotPossible, StartFailed, SupervisorGaveUp
from ._events import Kind
from ._exit import Exit, Parent
from ._intensity import Intensity
from ._lane import Job, Lane, Work
from ._lifecycle import State, Step, follow
from ._statistics import SupervisorStatistics

if TYPE_CHECKING:
    from ._runtime import Runtime


class Supervisor:
    """Starts, watches, restarts and stops the children of one `SupervisorSpec`."""

    def __init__(self, spec: SupervisorSpec, path: str, runtime: Runtime, parent: Parent) -> None:
        self.spec = spec
        self.path = path
        self.runtime = runtime
        self.parent = parent
        self.state: State = "new"
        self.number = 0
        self.last_uptime = 0.0
        self.restarts = 0
        self.gave_up = 0
        self.children: list[Cell | Supervisor] = [self._make(child) for child in spec.children]
        self.intensity = Intensity(spec.intensity, spec.period)
        self._rows = {child.path: Row(spec.backoff) for child in self.children}
        runtime.supervisors[path] = self
        self._renew()

    def __repr__(self) -> str:
        return f"<Supervisor {self.path!r} {self.state} #{self.number}>"

    def _make(self, spec: ChildSpec | SupervisorSpec) -> Cell | Supervisor:
        path = f"{self.path}/{spec.id}" if self.path else spec.id
        if isinstance(spec, SupervisorSpec):
            return Supervisor(spec, path, self.runtime, self)
        cell = Cell(spec, path, self.runtime, self)
        self.runtime.cells[path] = cell
        return cell

    def _renew(self) -> None:
        """What each incarnation of a supervisor begins with."""
        self._settled = trio.Event()
        self._down = trio.Event()
        self._ending = trio.Event()
        self._scope = trio.CancelScope()
        self._starting = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._work: trio.Nursery | None = None
        self._lanes: dict[str, Lane] = {}
        self._early: list[tuple[Cell | Supervisor, Exit]] = []
        self._asked_to_stop = False
        self._was_ready = False
        self._ready_at = 0.0
        self._fault: Exception | None = None
        self._detail = ""
        self.intensity.forget()

    # As a child.

    async def start(self, nursery: trio.Nursery) -> None:
        """Start all children, from left to right. Raises `StartFailed`."""
        self._renew()
        self.step("start")
        self.number += 1
        nursery.start_soon(self._run, name=f"{self.path or '(root)'}#{self.number}")
        await self._settled.wait()
        if not self._was_ready:
            raise StartFailed(self.path, self._detail or "it was stopped") from self._fault

    async def stop(self) -> None:
        """Stop all children, from right to left. Idempotent."""
        if self.state not in ("starting", "running", "stopping"):
            return
        if not self._asked_to_stop:
            self._asked_to_stop = True
            patience = self.spec.shutdown
            if patience is None:
                self._scope.cancel()
            else:
                self._scope.deadline = trio.current_time() + patience
            self._end()
        await self._down.wait()

    def retire(self) -> None:
        """Nobody will start it again, but for an operator; nor what is below it."""
        if self.state != "stopped":
            self.step("retire")
        for child in self.children:
            child.retire()

    def step(self, step: Step) -> None:
        """Follow the lifecycle."""
        self.state = follow(self.state, step)

    def cells(self) -> list[Cell]:
        """All actors below it."""
        return [cell for child in self.children for cell in child.cells()]

    def is_up(self) -> bool:
        """Whether it has, or may have, children that are up."""
        return self.state in ("starting", "running", "stopping")

    # The life.

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._live()
        finally:
            self._finish()

    async def _live(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            with self._starting:
                await self._start_first()
            if self._was_ready:
                await self._supervise()
            await self._stop_children(self.children)
            nursery.cancel_scope.cancel()

    async def _start_first(self) -> None:
        for index, child in enumerate(self.children):
            try:
                await self._start(child, self.children[index + 1 :])
            except StartFailed as failure:
                self._fault, self._detail = failure, str(failure)
                return
        self._was_ready = True
        self._ready_at = trio.current_time()
        self.step("ready")
        self.runtime.tell("started", self.path, self.number)
        self._settled.set()

    async def _supervise(self) -> None:
        async with trio.open_nursery() as self._work:
            early, self._early = self._early, []
            for child, outcome in early:
                self.child_exited(child, outcome)
            await self._ending.wait()
            self._work.cancel_scope.cancel()

    def _end(self) -> None:
        """Begin to stop, for whatever reason."""
        if self.state == "running":
            self.step("stop")
        self._starting.cancel()
        self._ending.set()

    def _finish(self) -> None:
        self.last_uptime = trio.current_time() - self._ready_at if self._was_ready else 0.0
        self.step("down")
        self._settled.set()
        self._down.set()
        outcome = self._outcome()
        ended_early = not self._was_ready and not self._asked_to_stop
        kind: Kind = "start_failed" if ended_early else outcome.kind
        self.runtime.tell(kind, self.path, self.number, detail=outcome.detail)
        if self._was_ready and outcome.kind != "stopped":
            self.parent.child_exited(self, outcome)

    def _outcome(self) -> Exit:
        if self._asked_to_stop:
            return Exit("stopped")
        if self._fault is not None:
            return Exit("crashed", self._detail, self._fault)
        return Exit("left", self._detail)

    # What follows when a child has ended.

    def child_exited(self, child: Cell | Supervisor, outcome: Exit) -> None:
        """``child`` was ready, and has ended without having been asked to."""
        if self._ending.is_set():
            return
        if self._work is None:
            self._early.append((child, outcome))
        elif _returns(child.spec.restart, outcome):
            self._submit(child, partial(self._revive, child, outcome.detail))
        else:
            child.retire()
            self._lost(child)

    def _lost(self, child: Cell | Supervisor) -> None:
        """``child`` has ended for good, by itself."""
        policy = self.spec.auto_shutdown
        if not child.spec.significant or policy == "never":
            return
        significant = [other for other in self.children if other.spec.significant]
        if policy == "any_significant" or all(c.state == "stopped" for c in significant):
            self._detail = f"{child.path} has ended, which is significant"
            self._end()

    async def _revive(self, child: Cell | Supervisor, why: str) -> str:
        """Restart ``child``, and with it those that the strategy says."""
        while child.state == "waiting":  # else a sibling's restart has brought it back
            if not self.intensity.permit(trio.current_time()):
                self._give_up(child, why)
                return ""
            self.restarts += 1
            self.runtime.restarts += 1
            if isinstance(child, Cell):
                child.restarts += 1
            delay = self._rows[child.path].next_delay(child.last_uptime, self.runtime.chance)
            self.runtime.tell("restarting", child.path, child.number, detail=why, delay=delay)
            group = self._group(child)
            await self._take_down(group)
            await self._lane(child).rest(delay)
            failed = await self._start_group(group)
            if failed is None:
                return ""
            child, why = failed
        return ""

    def _give_up(self, child: Cell | Supervisor, why: str) -> None:
        spec = self.spec
        self.gave_up += 1
        self._detail = (
            f"{self.path or '(root)'} gave up: more than {spec.intensity} restarts in "
            f"{spec.period:g} s, the last of {child.path}: {why}"
        )
        self._fault = SupervisorGaveUp(self.path, self._detail)
        self.runtime.tell("gave_up", self.path, self.number, detail=self._detail)
        self._end()

    def _group(self, child: Cell | Supervisor) -> list[Cell | Supervisor]:
        """Those that are restarted when ``child`` is."""
        match self.spec.strategy:
            case "one_for_one":
                return [child]
            case "one_for_all":
                return list(self.children)
            case "rest_for_one":
                return self.children[self.children.index(child) :]

    async def _take_down(self, group: list[Cell | Supervisor]) -> None:
        """Stop ``group`` from right to left; what is temporary goes for good."""
        await self._stop_children(group)
        for member in group:
            if member.spec.restart == "temporary" and member.state == "waiting":
                member.retire()

    async def _stop_children(self, group: list[Cell | Supervisor]) -> None:
        for member in reversed(group):
            await member.stop()

    async def _start_group(
        self, group: list[Cell | Supervisor]
    ) -> tuple[Cell | Supervisor, str] | None:
        """Start from left to right what waits; the first that fails, and why."""
        for index, member in enumerate(group):
            if member.state != "waiting":
                continue
            try:
                await self._start(member, group[index + 1 :])
            except StartFailed as failure:
                return member, str(failure)
        return None

    async def _start(self, member: Cell | Supervisor, later: list[Cell | Supervisor]) -> None:
        """Start ``member``, before ``later``. Raises `StartFailed`."""
        if self._nursery is None:
            raise StartFailed(member.path, f"{member.path}: its supervisor is not there")
        waiters = [cell for child in later if not child.is_up() for cell in child.cells()]
        for waiter in waiters:
            waiter.waits_for.extend(member.cells())
        try:
            await member.start(self._nursery)
        finally:
            for waiter in waiters:
                waiter.waits_for.clear()

    def _lane(self, child: Cell | Supervisor) -> Lane:
        key = child.path if self.spec.strategy == "one_for_one" else ""
        return self._lanes.setdefault(key, Lane())

    def _submit(self, child: Cell | Supervisor, work: Work) -> Job:
        """Have ``work`` done on ``child`` between all else. Raises `NotPossible`."""
        if self._work is None or self.state != "running":
            name = self.path or "(root)"
            raise NotPossible(f"{child.path}: its supervisor {name} is {self.state}")
        return self._lane(child).submit(work, self._work)

    # For operators.

    async def order(self, child: Cell | Supervisor, work: Work) -> str:
        """Have ``work`` done on ``child`` between all else that is done to it.

        It is done even if who waits for it is cancelled. Raises `NotPossible`.
        """
        return await self._submit(child, work).wait()

    async def restart_child(self, child: Cell | Supervisor, number: int) -> str:
        """Restart incarnation ``number`` of ``child``, and those that the strategy says.

        One that is stopped is started. One that has been restarted meanwhile is left alone.
        """
        was = child.state
        if child.is_up() and child.number > number:
            return "had just been restarted"
        if was in ("stopped", "new"):
            await self._start_or_revive([child])
            return f"was {was}"
        group = self._group(child)
        await self._stop_children(group)
        await self._start_or_revive([one for one in group if one.state == "waiting"])
        others = [member.path for member in group if member is not child]
        return f"was {was}" + (f"; with it {', '.join(others)}" if others else "")

    async def _start_or_revive(self, group: list[Cell | Supervisor]) -> None:
        """Start ``group``; what fails is tried again, as after a crash. Raises `StartFailed`."""
        for index, member in enumerate(group):
            try:
                await self._start(member, group[index + 1 :])
            except StartFailed as failure:
                self._submit(member, partial(self._revive, member, str(failure)))
                raise

    async def stop_child(self, child: Cell | Supervisor, _number: int) -> str:
        """Stop ``child`` until an operator restarts it."""
        if child.state == "stopped":
            raise NotPossible(f"{child.path} is stopped already")
        was = child.state
        await child.stop()
        child.retire()
        return f"was {was}"

    def statistics(self) -> SupervisorStatistics:
        """A snapshot."""
        return SupervisorStatistics(
            path=self.path,
            strategy=self.spec.strategy,
            state=self.state,
            children=tuple(child.path for child in self.children),
            restarts=self.restarts,
            restarts_in_period=self.intensity.within(trio.current_time()),
            intensity=self.spec.intensity,
            period=self.spec.period,
            gave_up=self.gave_up,
        )


def _returns(restart: str, outcome: Exit) -> bool:
    """Whether a child that ended like this is started again."""
    return restart == "permanent" or (restart == "transient" and outcome.kind == "crashed")
