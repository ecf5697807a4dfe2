"""The system: one tree of supervisors and actors, and what operators do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from random import Random
from typing import Any, Final

import msgspec
import trio

from ._cell import Cell, find_ref
from ._child import SupervisorSpec
from ._crash import CrashReport
from ._errors import NotPossible, UnknownPath
from ._events import OnEvent
from ._exit import Exit
from ._lifecycle import State
from ._links import Links
from ._ref import Ref
from ._runtime import DeadLetter, Runtime
from ._statistics import ActorStatistics, SupervisorStatistics, SystemStatistics
from ._supervisor import Supervisor
from ._tree import TreeNode, grow

GRACE: Final = 30.0
"""Seconds in which a system that is cancelled from outside stops its actors in order."""


class Done(msgspec.Struct, frozen=True):
    """What an operator's command did."""

    action: str
    path: str
    state: State
    """Now."""
    incarnation: int
    """Now."""
    detail: str
    seconds: float
    """It took."""


class System:
    """A running tree; made by `open_system`."""

    def __init__(self, spec: SupervisorSpec, runtime: Runtime) -> None:
        self._runtime = runtime
        self._root = Supervisor(spec, "", runtime, self)
        self._body = trio.CancelScope()
        self._closing = trio.CancelScope(shield=True)
        self._outcome: Exit | None = None
        self._ended = trio.Event()
        self._tree: trio.Nursery | None = None
        self._opened_at = trio.current_time()

    # For those who use actors.

    def ref(self, path: str) -> Ref:
        """The address of the actor at ``path``, whatever its state. Raises `UnknownPath`.

        In a system with links, ``path@process`` is one of another process.
        """
        return find_ref(self._runtime, path)

    async def wait_ended(self) -> str:
        """Return why, when the root supervisor has ended by itself (``auto_shutdown``).

        If it gave up, the block of `open_system` is cancelled and raises `SupervisorGaveUp`.
        """
        await self._ended.wait()
        return "" if self._outcome is None else self._outcome.detail

    # For operators.

    def inspect(self, path: str) -> ActorStatistics | SupervisorStatistics:
        """A snapshot of the actor or supervisor at ``path``. Raises `UnknownPath`."""
        return self._find(path).statistics()

    async def pause(self, path: str) -> Done:
        """Let the actor's mailbox fill, and nothing be handled, until `resume`.

        The message in progress is handled to its end. A crash or a restart does not end a pause.
        """
        cell = self._find_actor(path, "pause")
        if cell.state != "running":
            raise NotPossible(f"{path} is {cell.state}; only a running actor can be paused")
        return self._done("paused", cell, cell.pause(), trio.current_time())

    async def resume(self, path: str) -> Done:
        """End a `pause`."""
        cell = self._find_actor(path, "resume")
        if cell.state != "paused":
            raise NotPossible(f"{path} is {cell.state}; only a paused actor can be resumed")
        return self._done("resumed", cell, cell.resume(), trio.current_time())

    async def restart(self, path: str) -> Done:
        """Stop what is at ``path`` by the shutdown ladder, and start it anew.

        Those that its supervisor's strategy says are restarted with it. A stopped one is started.
        Does not count against the restart intensity, unless the start fails.
        """
        return await self._command("restarted", path, Supervisor.restart_child)

    async def stop(self, path: str) -> Done:
        """Stop what is at ``path`` by the shutdown ladder, until it is restarted."""
        return await self._command("stopped", path, Supervisor.stop_child)

    def hurry(self, seconds: float) -> None:
        """Whenever it stops: cancel what has not stopped within ``seconds`` from now."""
        deadline = trio.current_time() + seconds
        self._closing.deadline = min(self._closing.deadline, deadline)

    def tree(self) -> TreeNode:
        """The tree now; ``str()`` of it is a picture."""
        return grow(self._root)

    def statistics(self) -> SystemStatistics:
        """A snapshot of the whole."""
        runtime = self._runtime
        return SystemStatistics(
            actors=len(runtime.cells),
            supervisors=len(runtime.supervisors),
            uptime=trio.current_time() - self._opened_at,
            crashes=runtime.crashes,
            restarts=runtime.restarts,
            dead_letters=runtime.dead_letters,
            waiting=sum(cell.waiting() for cell in runtime.cells.values()),
            pending_deadlines=len(runtime.timer),
            hook_failures=runtime.hook_failures,
            links=() if runtime.links is None else runtime.links.statistics(),
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all actors."""
        return tuple(self._runtime.cells)

    @property
    def crash_reports(self) -> tuple[CrashReport, ...]:
        """The last 64, oldest first."""
        return tuple(self._runtime.crash_reports)

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The last 64, oldest first."""
        return self._runtime.last_dead_letters()

    def _find(self, path: str) -> Cell | Supervisor:
        runtime = self._runtime
        found = runtime.cells.get(path) or runtime.supervisors.get(path)
        if found is None:
            known = ", ".join(sorted([*runtime.cells, *filter(None, runtime.supervisors)]))
            raise UnknownPath(f"there is nothing at {path!r}; there are: {known}")
        return found

    def _find_actor(self, path: str, what: str) -> Cell:
        found = self._find(path)
        if isinstance(found, Supervisor):
            below = ", ".join(child.path for child in found.children)
            raise NotPossible(f"cannot {what} a supervisor; below it are: {below}")
        return found

    async def _command(self, action: str, path: str, method: Any) -> Done:
        found = self._find(path)
        parent = found.parent
        if not isinstance(parent, Supervisor):
            raise NotPossible("the root is stopped by ending the program")
        began = trio.current_time()
        detail = await parent.order(found, partial(method, parent, found, found.number))
        return self._done(action, found, detail, began)

    def _done(self, action: str, found: Cell | Supervisor, detail: str, began: float) -> Done:
        seconds = trio.current_time() - began
        return Done(action, found.path, found.state, found.number, detail, seconds)

    # As the parent of the root.

    def child_exited(self, _child: object, outcome: Exit) -> None:
        """The root has ended by itself."""
        self._outcome = outcome
        self._ended.set()
        if outcome.kind == "crashed":
            self._body.cancel()

    # The life.

    async def _hold(self, opened: trio.Event) -> None:
        """Hold the nursery of the tree: cancelling who opened the system does not cut it off."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as self._tree:
                self._runtime.nursery = self._tree
                opened.set()
                await self._runtime.timer.run()
        # `nursery.start` would not do: cancelled at once, it leaves a shielded task where it was.

    async def _start(self, nursery: trio.Nursery) -> None:
        opened = trio.Event()
        nursery.start_soon(self._hold, opened)
        with trio.CancelScope(shield=True):
            await opened.wait()
        if self._tree is not None:
            await self._root.start(self._tree)

    async def _close(self, grace: float) -> None:
        self.hurry(grace)
        with self._closing:
            await self._root.stop()
        if self._tree is not None:
            self._tree.cancel_scope.cancel()

    def _release(self) -> None:
        if self._runtime.links is not None:
            self._runtime.links.unbind()
        self._root.retire()
        for cell in self._runtime.cells.values():
            cell.close()


@asynccontextmanager
async def open_system(
    root: SupervisorSpec,
    *,
    on_event: OnEvent | None = None,
    chance: Random | None = None,
    grace: float = GRACE,
    links: Links | None = None,
) -> AsyncIterator[System]:
    """Start the tree below ``root``; stop it when the block is left.

    ``on_event`` is told what happens to actors. ``chance`` makes the jitter of backoffs
    repeatable. Left by cancellation, the tree still stops in order, ``grace`` seconds at most.
    ``links`` lets references lead to actors of other processes, and theirs to these.

    Raises `StartFailed` if it does not start, `SupervisorGaveUp` if the root gives up (the block
    is cancelled then), and what the block raises.
    """
    runtime = Runtime(on_event, chance or Random())  # noqa: S311 -- jitter, not cryptography
    system = System(root, runtime)
    if links is not None:
        links.bind(runtime)
        runtime.links = links
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                await system._start(nursery)  # noqa: SLF001 -- its maker
                with system._body:  # noqa: SLF001 -- likewise
                    yield system
            except BaseException as raised:  # noqa: ASYNC103, BLE001 -- raised again below
                failure = raised
            bounded = grace if isinstance(failure, trio.Cancelled) else inf
            await system._close(bounded)  # noqa: SLF001 -- likewise
    finally:
        system._release()  # noqa: SLF001 -- likewise
    outcome = system._outcome  # noqa: SLF001 -- likewise
    if failure is not None:
        raise failure
    if outcome is not None and outcome.error is not None:
        raise outcome.error
