"""The service, as operators see it: the tree of its one process, or that of its host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
import trio

from sluice.actors.metrics import Figures
from sluice.actors.slots import Slots
from sluice.actors.tally import Tally
from sluice.engine import ActorError, ActorStatistics, System, TreeNode
from sluice.engine import Done as EngineDone
from sluice.engine import Event as EngineEvent
from sluice.http.services import Lifecycle
from sluice.ops import logs
from sluice.ops.config import Config
from sluice.ops.worker import VERSION

from .controlled import OnHappened
from .figures import Glance, glance_at
from .protocol import (
    Draining,
    Happened,
    LevelSet,
    LogLevel,
    Node,
    Outcome,
    ProcessStatus,
    ServiceStatus,
)

PROCESS: Final = "main"
"""The name of the only process."""
_FRESH: Final = 1.0
"""Seconds that the metrics actor has to read what nobody tells; then the numbers are older."""


class Service(Protocol):
    """A `Worker` that is alone, or the host of several."""

    config: Config
    addresses: list[str]
    slots: Slots
    tally: Tally
    """The numbers of the whole replica."""
    system: System
    watchers: set[Callable[[EngineEvent], None]]

    @property
    def state(self) -> Lifecycle:
        """Where it is between its start and its end."""

    def actors(self) -> list[ActorStatistics]:
        """A snapshot of every actor of this process."""

    def live(self) -> int:
        """Streams that are under way in the replica."""

    async def restart(self, path: str) -> EngineDone:
        """Stop what is at ``path`` in order, and start it anew; a worker, beside the old one."""


class ControlledWorker:
    """A `Controlled` of one process's tree; ``end`` begins the orderly end of the service."""

    def __init__(self, worker: Service, end: Callable[[], None]) -> None:
        self._worker = worker
        self._end = end

    def status(self) -> ServiceStatus:
        """How it is."""
        worker, system = self._worker, self._worker.system.statistics()
        process = ProcessStatus(
            name=PROCESS,
            pid=os.getpid(),
            state=worker.state,
            uptime=system.uptime,
            streams=worker.live(),
            cpu=sum(os.times()[:2]),
            memory=_resident(),
        )
        return ServiceStatus(
            state=worker.state,
            version=VERSION,
            uptime=system.uptime,
            addresses=tuple(worker.addresses),
            streams=process.streams,
            connections=len(worker.slots),
            connection_limit=worker.slots.limit,
            actors=system.actors,
            crashes=system.crashes,
            restarts=system.restarts,
            log_level=logs.set_level(None)[0],
            processes=(process,),
        )

    def tree(self) -> Node:
        """All supervisors and actors."""
        known = {each.path: each for each in self._worker.actors()}
        return _node(self._worker.system.tree(), known)

    async def restart(self, path: str) -> Outcome:
        """Stop what is at ``path`` in order, and start it anew."""
        return _outcome(await self._worker.restart(path))

    async def pause(self, path: str) -> Outcome:
        """Let its mail wait."""
        return _outcome(await self._worker.system.pause(path))

    async def resume(self, path: str) -> Outcome:
        """End a pause."""
        return _outcome(await self._worker.system.resume(path))

    async def stop(self, path: str) -> Outcome:
        """Stop it until it is restarted."""
        return _outcome(await self._worker.system.stop(path))

    def drain(self) -> Draining:
        """Begin the end, as on SIGTERM."""
        self._end()
        return Draining(self._worker.live(), self._worker.config.server.drain)

    def log_level(self, level: LogLevel | None) -> LevelSet:
        """Log from ``level`` on; None: change nothing."""
        return LevelSet(*logs.set_level(level))

    async def glance(self) -> Glance:
        """Its counters and gauges, now; as they were, if the metrics actor does not answer."""
        with suppress(ActorError):  # paused, stopped or down: what was counted stands
            await self._worker.system.ref("metrics").ask(Figures(), timeout=_FRESH)
        return glance_at(self._worker.tally, trio.current_time())

    def listen(self, on_happened: OnHappened) -> Callable[[], None]:
        """Have events told from now on."""

        def watch(event: EngineEvent) -> None:
            on_happened(_happened(event))

        self._worker.watchers.add(watch)
        return lambda: self._worker.watchers.discard(watch)


def _outcome(done: EngineDone) -> Outcome:
    return Outcome(done.action, done.path, done.state, done.incarnation, done.detail, done.seconds)


def _happened(event: EngineEvent) -> Happened:
    detail = event.detail
    if event.delay:
        detail = f"{detail}; in {event.delay:.1f} s" if detail else f"in {event.delay:.1f} s"
    return Happened(
        kind=event.kind,
        at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        path=event.path,
        process=PROCESS,
        incarnation=event.incarnation,
        detail=detail,
        report=None if event.report is None else _plain(event.report),
    )


def _node(node: TreeNode, known: dict[str, ActorStatistics]) -> Node:
    actor = known.get(node.path)
    return Node(
        path=node.path,
        id=node.id,
        kind=node.kind,
        process=PROCESS,
        state=node.state,
        incarnation=node.incarnation,
        restarts=node.restarts,
        strategy=node.strategy,
        waiting=node.waiting,
        handling=node.handling,
        children=tuple(_node(child, known) for child in node.children),
        **({} if actor is None else dict(_measured(actor))),
    )


def _measured(actor: ActorStatistics) -> Iterator[tuple[str, Any]]:
    """The fields of a `Node` that only actors have."""
    yield "capacity", actor.mailbox.capacity
    yield "uptime", actor.uptime
    yield "handled", actor.handled
    yield "crashes", actor.crashes
    if isinstance(actor.domain, msgspec.Struct):
        yield "statistics", _plain(actor.domain)


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(value, enc_hook=repr)
    return found


def _resident() -> int:
    """Bytes of memory that this process has; 0 where nobody tells."""
    try:
        with open("/proc/self/statm", "rb") as told:  # noqa: PTH123 -- a file of the kernel's
            return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
