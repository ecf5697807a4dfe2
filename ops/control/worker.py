"""A service of one process, as operators see it and command it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import trio

from sluice.actors.breakers.breaker import BreakerOrder
from sluice.actors.metrics.metrics import Figures
from sluice.actors.metrics.tally import Tally
from sluice.actors.settings import LimitSettings
from sluice.engine import ActorError, ActorStatistics, System
from sluice.engine import Done as EngineDone
from sluice.engine import Event as EngineEvent
from sluice.http.services import Lifecycle
from sluice.ops import logs
from sluice.ops.breakers import ReplicaBreakers
from sluice.ops.config import Config
from sluice.ops.place import MAIN as PROCESS
from sluice.ops.worker import VERSION

from .breaking import operate, standings
from .controlled import OnHappened
from .figures import Glance, glance_at
from .limits import changed, told
from .nearest import nothing_at
from .orders import Action
from .paths import Target, target_of
from .protocol import (
    BreakerStatus,
    Draining,
    LevelSet,
    LimitKind,
    LimitsSet,
    LogLevel,
    Node,
    Outcome,
    ProcessStatus,
    Refused,
    ServiceStatus,
)
from .refusals import refuse
from .sight import Home, happened, node_of, outcome_of, paths_of
from .usage import usage_of

_FRESH: Final = 1.0
"""Seconds that the metrics actor has to read what nobody tells; then the numbers are older."""


class Limited(Protocol):
    """The slots of the replica: how many are in use is its length."""

    limit: int

    def __len__(self) -> int:
        """In use."""


class Service(Protocol):
    """A `Worker` that is alone, or the host of several."""

    config: Config
    addresses: list[str]
    limits: LimitSettings
    """In force."""
    tally: Tally
    """The numbers of the whole replica."""
    breakers: ReplicaBreakers
    system: System
    watchers: set[Callable[[EngineEvent], None]]

    @property
    def slots(self) -> Limited:
        """The replica's."""

    def lifecycle(self) -> Lifecycle:
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
        self._home = Home(PROCESS, os.getpid())

    async def status(self) -> ServiceStatus:
        """How it is."""
        worker, system = self._worker, self._worker.system.statistics()
        usage = usage_of(os.getpid())
        process = ProcessStatus(
            name=PROCESS,
            pid=os.getpid(),
            state=worker.lifecycle(),
            uptime=system.uptime,
            streams=worker.live(),
            cpu=usage.cpu,
            memory=usage.memory,
        )
        return ServiceStatus(
            state=worker.lifecycle(),
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
            breakers=standings(worker),
            limits=told(worker.limits),
        )

    async def tree(self) -> Node:
        """All supervisors and actors."""
        return self._tree()

    async def restart(self, path: str) -> Outcome:
        """Stop what is at ``path`` in order, and start it anew."""
        return outcome_of(await self._worker.restart(self._allowed("restart", path)))

    async def pause(self, path: str) -> Outcome:
        """Let its mail wait."""
        return outcome_of(await self._worker.system.pause(self._allowed("pause", path)))

    async def resume(self, path: str) -> Outcome:
        """End a pause."""
        return outcome_of(await self._worker.system.resume(self._known(path)))

    async def stop(self, path: str) -> Outcome:
        """Stop it until it is restarted."""
        return outcome_of(await self._worker.system.stop(self._allowed("stop", path)))

    def drain(self) -> Draining:
        """Begin the end, as on SIGTERM."""
        self._end()
        return Draining(self._worker.live(), self._worker.config.server.drain)

    async def log_level(self, level: LogLevel | None) -> LevelSet:
        """Log from ``level`` on; None: change nothing."""
        return LevelSet(*logs.set_level(level))

    async def breaker(self, name: str, order: BreakerOrder | None) -> list[BreakerStatus]:
        """Have the circuit breakers ``name`` obey; None: change nothing."""
        return await operate(self._worker, name, order)

    async def limit(self, kind: LimitKind | None, rate: str | None) -> LimitsSet:
        """Limit the callers of ``kind`` to ``rate``."""
        worker = self._worker
        before = worker.limits
        if kind is not None and rate is not None:
            worker.limits = changed(before, worker.config.limits, kind, rate)
        return LimitsSet(told(worker.limits), told(before))

    async def glance(self) -> Glance:
        """Its counters and gauges, now; as they were, if the metrics actor does not answer."""
        return await glance_of(self._worker)

    def listen(self, on_happened: OnHappened) -> Callable[[], None]:
        """Have events told from now on."""

        def watch(event: EngineEvent) -> None:
            on_happened(happened(event, self._home))

        def end() -> None:
            self._worker.watchers.discard(watch)
            self._worker.breakers.listeners.discard(on_happened)

        self._worker.watchers.add(watch)
        self._worker.breakers.listeners.add(on_happened)
        return end

    def _tree(self) -> Node:
        return node_of(self._worker.system.tree(), self._worker.actors(), self._home)

    def _allowed(self, action: Action, path: str) -> str:
        """The path in the tree. Raises `Refused` as `_known` does, or if it may not be done."""
        actor = self._known(path)
        refuse(action, Target(actor), several=False)
        return actor

    def _known(self, path: str) -> str:
        """The path in the tree. Raises `Refused` if nothing is there, with what was meant."""
        target, paths = target_of(path, PROCESS, ()), paths_of(self._tree())
        if target is None or target.actor not in paths:
            raise Refused("unknown_path", nothing_at(path, paths))
        return target.actor


async def glance_of(service: Service) -> Glance:
    """Its counters and gauges, now; as they were, if the metrics actor does not answer."""
    with suppress(ActorError):  # paused, stopped or down: what was counted stands
        await service.system.ref("metrics").ask(Figures(), timeout=_FRESH)
    return glance_at(service.tally, trio.current_time())
