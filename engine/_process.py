"""Processes as children of a supervisor: how to start, reach, replace and stop one.

In the parent::

    PROTOCOL = Protocol([Acquire, Release, Report])       # both processes need the same
    links = Links("host", PROTOCOL, peers=["worker-1"])
    spec = ProcessSpec(
        "worker-1",
        [sys.executable, "-m", "program.worker", f"--listen=fd://{listener.fileno()}"],
        pass_fds=[listener.fileno()],
        drain=60,
    )
    root = SupervisorSpec("root", [ChildSpec("slots", Slots), spec.child(links)])
    async with open_system(root, links=links) as system:
        await system.ref("edge@worker-1").ask(...)           # to an actor of the worker
        await system.ref("worker-1").ask(Replace(), timeout=90)   # to the process's own actor

In the child, whose command line is ``argv``::

    async def main() -> None:
        async with join(PROTOCOL) as joined:
            async with open_system(root, links=joined.links) as system:
                joined.ready()
                seconds = await joined.wait_stop()
                ...                                    # finish within so many seconds

    trio.run(main)

What is promised:

* The child is spawned, never forked into: it inherits standard output and error, ``pass_fds``, and
  its end of the link, told by one environment variable. It is in a process group of its own, so
  a Ctrl-C at the terminal is the parent's to act on.
* It is ready when it says so, within the child spec's ``start_timeout``; until then references
  to it find no link. Its exit, or the end of its link, is a crash of its actor, with the exit code
  or the signal in the report; then the supervisor's policy applies as to every child.
* It is stopped by a ladder: asked over the link, and waited for ``drain`` seconds; SIGTERM, and
  waited for ``terminate`` seconds; SIGKILL. It is always reaped.
* ``Replace`` starts a second one beside it. When that is ready, references lead to it, and the
  first is taken down the ladder in the background; until then nothing has changed, and nothing
  does if the second does not become ready. A crash of the second does not hasten the first.
* When the parent dies, however it dies, the child is gone within a second, also if its event
  loop is blocked: a thread watches the link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from ._actor import Actor, handler
from ._child import ChildSpec
from ._errors import ProcessExited, StartFailed
from ._message import Message
from ._spawned import Spawned

if TYPE_CHECKING:
    from ._links import Links


class Replaced(msgspec.Struct, frozen=True):
    """What `Replace` did: the process ids, and which generation the new one is."""

    old: int
    new: int
    generation: int


class Replace(Message[Replaced], frozen=True):
    """Ask a `Process`'s actor to start a second one, and to take the first down when it is ready.

    ``start_timeout``: seconds in which the second must be ready; the ask needs longer.
    ``drain``: seconds the first has; None: those of its `ProcessSpec`.
    Raises `StartFailed`; the first goes on then.
    """

    start_timeout: float = 30.0
    drain: float | None = None


class ProcessStatistics(msgspec.Struct, frozen=True):
    """One process, as its actor's ``domain`` statistics show it."""

    process: str
    pid: int | None
    """None while there is none."""
    generation: int
    """Of the one that references lead to; while there is none, how many have been started under
    this name. A second that is starting, or did not get ready, has a number of its own."""
    exits: int
    """How many of them have ended."""
    last_exit: str
    draining: tuple[int, ...]
    """The ids of those that were replaced, and are still finishing."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How a process is started and stopped.

    ``name``: its name, as references have it. ``argv``: the program and its arguments.
    ``env``: all of its environment; None: this process's. ``pass_fds``: descriptors that it
    inherits, under the same numbers. ``drain``: seconds from being asked over the link to
    SIGTERM; ``terminate``: from SIGTERM to SIGKILL.

    Raises `ValueError` for nonsense.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    pass_fds: Sequence[int] = ()
    drain: float = 10.0
    terminate: float = 5.0

    def __post_init__(self) -> None:
        """Reject nonsense."""
        if not self.argv:
            raise ValueError(f"{self.name}: argv names at least a program")
        if not (self.drain >= 0 and self.terminate >= 0):
            raise ValueError(f"{self.name}: drain and terminate are not negative")

    def child(self, links: Links, **options: Any) -> ChildSpec:
        """The child spec of this process, with the time that its ladder takes.

        ``options`` are those of `ChildSpec`; its ``id`` is the process's name.
        """
        options.setdefault("shutdown", self.drain + self.terminate + 5)
        return ChildSpec(self.name, lambda: Process(self, links), **options)


class Process(Actor):
    """The actor that is a process in its supervisor's eyes; see the module."""

    def __init__(self, spec: ProcessSpec, links: Links) -> None:
        self.spec = spec
        self.links = links
        links.add_peer(spec.name)
        self._current: Spawned | None = None
        self._starting: Spawned | None = None

    async def on_start(self) -> None:
        """Start it; return when it is ready."""
        self._adopt(await self._launch())

    async def on_stop(self) -> None:
        """Take it down the ladder, and wait for those that were replaced."""
        if self._current is not None:
            await self._current.stop(self.spec.drain)
        for old in list(self.links.draining(self.spec.name)):
            await old.exited.wait()

    def on_end(self) -> None:
        """Kill what is still there, unless it was replaced and is finishing."""
        for spawned in (self._starting, self._current):
            if spawned is not None:
                spawned.kill()

    def statistics(self) -> ProcessStatistics:
        """A snapshot."""
        name, current = self.spec.name, self._current
        launches = self.links.launches(name)
        return ProcessStatistics(
            process=name,
            pid=None if current is None else current.pid,
            generation=launches.started if current is None else current.generation,
            exits=launches.exits,
            last_exit=launches.last_exit,
            draining=tuple(old.pid for old in launches.draining if old.pid is not None),
        )

    @handler(raises=(StartFailed,))
    async def replace(self, message: Replace) -> Replaced:
        """See `Replace`."""
        old = self._current
        with trio.move_on_after(message.start_timeout) as patience:
            new = await self._launch()
        if patience.cancelled_caught or old is None:
            self._give_up()
            raise StartFailed(self.context.path, f"{self.spec.name}: the second was not ready")
        self._adopt(new)
        old.retire(self.spec.drain if message.drain is None else message.drain)
        return Replaced(old.pid or 0, new.pid or 0, new.generation)

    async def _launch(self) -> Spawned:
        """Start one; return when it is ready. Raises `StartFailed`."""
        spawned = self._starting = Spawned(self.spec, self.links, self.context.path)
        spawned.begin()
        await spawned.settled.wait()
        if spawned.exited.is_set():
            raise StartFailed(self.context.path, f"{self.spec.name} {spawned.ending}")
        return spawned

    def _give_up(self) -> None:
        if self._starting is not None:
            self._starting.kill()
            self._starting = None

    def _adopt(self, spawned: Spawned) -> None:
        """Have references lead to ``spawned``, and its end be this actor's."""
        self._current, self._starting = spawned, None
        self.links.route(spawned.link)
        self.context.spawn(self._watch, spawned, name=f"{self.spec.name} pid {spawned.pid}")

    async def _watch(self, spawned: Spawned) -> None:
        await spawned.exited.wait()
        if spawned is self._current and not spawned.stopping:
            raise ProcessExited(f"{self.spec.name} {spawned.ending}")
