"""The links of one process: its name, its peers, and which link leads to each."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import trio

from ._cell import find_ref
from ._errors import ActorStopped, EngineError, UnknownPath
from ._events import Kind
from ._far import FarWaits
from ._link import Link
from ._message import Message
from ._options import Counts, LinkOptions
from ._protocol import Protocol
from ._ref import Ref
from ._remote import RemoteRef
from ._request import Timer
from ._statistics import LinkStatistics

if TYPE_CHECKING:
    from ._cell import Cell
    from ._runtime import Runtime
    from ._spawned import Spawned

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_name(name: str) -> str:
    """``name``, if a process may have it. Raises `ValueError`."""
    if not NAME.fullmatch(name):
        raise ValueError(f"a process's name is 1 to 64 of A-Z a-z 0-9 _ . -, not {name!r}")
    return name


class Launches:
    """What was started under one name, over all incarnations of its actor."""

    def __init__(self) -> None:
        self.started = 0
        self.exits = 0
        self.last_exit = ""
        self.running: list[Spawned] = []
        self.draining: list[Spawned] = []


class Links:
    """What a system is opened with to have actors of other processes: ``open_system(links=…)``.

    ``process``: this process's name. ``protocol``: what may cross. ``peers``: the processes that
    references may name, as ``context.ref("actor@process")``, whether they are up or not.

    One system at a time can be open with it. While none is, the peers' asks are refused.
    Raises `ValueError` for names that cannot be.
    """

    def __init__(
        self,
        process: str,
        protocol: Protocol,
        *,
        peers: Iterable[str] = (),
        options: LinkOptions | None = None,
    ) -> None:
        self.process = check_name(process)
        self.protocol = protocol
        self.options = options or LinkOptions()
        self.waits = FarWaits(f"{process}#{os.getpid()}")
        self._counts: dict[str, Counts] = {}
        self.routes: dict[str, Link] = {}
        """The link to each process, while there is one."""
        self._launches: dict[str, Launches] = {}
        self._runtime: Runtime | None = None
        self.timer: Timer | None = None
        """The system's."""
        for peer in peers:
            self.add_peer(peer)

    def __repr__(self) -> str:
        return f"<Links of {self.process!r} to {', '.join(self._counts) or 'nobody'}>"

    def add_peer(self, process: str) -> None:
        """Let references name ``process``. Raises `ValueError`."""
        if check_name(process) == self.process:
            raise ValueError(f"{process!r} is this process itself")
        self._counts.setdefault(process, Counts())

    # The links.

    def route(self, link: Link) -> None:
        """From now on, references to ``link.process`` lead over ``link``."""
        if not link.ended.is_set():
            self.routes[link.process] = link

    def lost(self, link: Link) -> None:
        """``link`` has ended."""
        if self.routes.get(link.process) is link:
            del self.routes[link.process]

    def counts_of(self, process: str) -> Counts:
        """What all links to ``process`` did."""
        return self._counts[process]

    def statistics(self) -> tuple[LinkStatistics, ...]:
        """A snapshot for each peer."""
        return tuple(self._snapshot(process) for process in self._counts)

    def _snapshot(self, process: str) -> LinkStatistics:
        counts, link = self._counts[process], self.routes.get(process)
        heard = None if link is None else trio.current_time() - link.last_heard
        values: dict[str, Any] = {name: getattr(counts, name) for name in Counts.__slots__}
        values["latency"] = counts.latency.statistics()
        in_flight = 0 if link is None else len(link.pending)
        return LinkStatistics(
            process=process, is_up=link is not None, in_flight=in_flight, silent=heard, **values
        )

    # The processes behind the names.

    def launches(self, process: str) -> Launches:
        """What was started under this name."""
        return self._launches.setdefault(process, Launches())

    def running(self, process: str) -> list[Spawned]:
        """Those that have been started and have not ended: starting, serving or draining."""
        return self.launches(process).running

    def draining(self, process: str) -> list[Spawned]:
        """Those that were replaced, and are still finishing."""
        return self.launches(process).draining

    # The system.

    def bind(self, runtime: Runtime) -> None:
        """Lead what comes in to the actors of ``runtime``. Raises `EngineError`."""
        if self._runtime is not None:
            raise EngineError("these links belong to another system that is open")
        self._runtime = runtime
        self.timer = runtime.timer
        self.waits.cells = runtime.cells

    def unbind(self) -> None:
        """The system is over."""
        self._runtime = None
        self.timer = None
        self.waits.cells = {}

    def ref(self, path: str) -> Ref:
        """The address ``actor@process``. Raises `UnknownPath`."""
        actor, _, process = path.rpartition("@")
        if process == self.process and self._runtime is not None:
            return find_ref(self._runtime, actor)
        if process not in self._counts:
            known = ", ".join([self.process, *self._counts])
            raise UnknownPath(f"{path!r}: there is no process {process!r}; there are: {known}")
        if not actor:
            raise UnknownPath(f"{path!r} names no actor of {process}")
        return RemoteRef(self, actor, process)

    def cell(self, path: str) -> Cell:
        """The actor at ``path``, for a peer. Raises `ActorStopped`, `UnknownPath`."""
        if self._runtime is None:
            raise ActorStopped(path, f"{path}: the system of {self.process} is not open")
        cell = self._runtime.cells.get(path)
        if cell is None:
            known = ", ".join(sorted(self._runtime.cells))[:600]
            raise UnknownPath(f"{path[:64]!r} does not exist; actors are: {known}")
        return cell

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object, name: str) -> None:
        """Run ``function(*args)`` in a task of the system's. Raises `EngineError`."""
        if self._runtime is None or self._runtime.nursery is None:
            raise EngineError("the links of a process's actor belong to no system that is open")
        self._runtime.nursery.start_soon(function, *args, name=name)

    def tell(self, kind: Kind, path: str, generation: int, detail: str) -> None:
        """Tell the system's hook what happened to a process."""
        if self._runtime is not None:
            self._runtime.tell(kind, path, generation, detail=detail)

    def bury(self, path: str, message: Message[Any], reason: str) -> None:
        """Keep a message that nobody will handle."""
        if self._runtime is not None:
            self._runtime.dead_letter(path, message, reason)
