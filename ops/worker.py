"""A running tree: what stands in a process beside and above its actors (`worker_tree`).

The pump and the scan stand beside the tree: they are the worker's, not an actor's, so that no
restart of an actor can stop the bytes of a stream.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final

import trio

from sluice.actors.breakers.permits import Permits
from sluice.actors.limits.limiter import Limiter
from sluice.actors.metrics.catalog import Known
from sluice.actors.metrics.ledger import Ledger
from sluice.actors.metrics.outbox import Outbox
from sluice.actors.metrics.reports import RequestReport
from sluice.actors.metrics.tally import Tally
from sluice.actors.providers.provider import ProviderClient, Shelf
from sluice.actors.providers.upstream_failures import stopped
from sluice.actors.settings import LimitSettings, Timeouts
from sluice.actors.slots.borrowing import Lease
from sluice.actors.slots.returns import Returns
from sluice.actors.slots.slots import Slots
from sluice.actors.store import Change
from sluice.actors.streams.pump import EpollPoller, Pump
from sluice.actors.streams.scan import Scan, tick_for
from sluice.actors.streams.streams import ALONE, Place, StreamService
from sluice.engine import (
    ActorStatistics,
    Context,
    Done,
    Event,
    Links,
    LinkStatistics,
    System,
    open_system,
)
from sluice.http.app import build_app
from sluice.http.asgi import Asgi
from sluice.http.callers.identity import Identity
from sluice.http.services import AppServices, AppSettings, Lifecycle, ProviderState
from sluice.http.spread import Spread
from sluice.ops.breakers import ReplicaBreakers, health_of
from sluice.ops.config import Config
from sluice.ops.control.limits import adopted
from sluice.ops.control.operator import News
from sluice.ops.control.sight import Home
from sluice.ops.cores import usable_cores, workers_for
from sluice.ops.ending import FORCE, GRACE
from sluice.ops.lines import log_event, small_request_line, store_line
from sluice.ops.logs import get_logger, request_line
from sluice.ops.place import MAIN
from sluice.ops.reload import Plan
from sluice.ops.reloading import make_live
from sluice.ops.store import store_of

from .worker_tree import tree_of

VERSION = metadata.version("sluice-sse")

_LIVES: Final[dict[str, Lifecycle]] = {"stopped": "stopped", "stopping": "draining"}
"""What a worker is whose streams are in that state."""


class Worker:
    """A running tree: what stands in a process beside and above the actors."""

    def __init__(
        self,
        config: Config,
        listening: list[socket.socket],
        spawn: Callable[..., None],
        place: Place = ALONE,
        links: Links | None = None,
        spread: Spread | None = None,
    ) -> None:
        self.config = config
        self._links = links
        self.place = place
        self.spread = spread
        self.state: Lifecycle = "starting"
        self.log = get_logger("sluice.worker")
        self.pump = Pump(EpollPoller, self.on_fault)
        self.scan = Scan(tick_for([*_waits(config.timeouts), *_model_waits(config)]))
        self.streams = StreamService()
        self.slots = Slots(config.connections.limit, config.connections.soft_ratio)
        self.returns = Returns()
        self.lease = Lease(place.process, self.returns)
        """Of a worker that is one of several: its part of the slots."""
        self.permits = Permits(place.process, place.breakers, enabled=config.breaker.enabled)
        self.breakers = ReplicaBreakers(config, MAIN, self.log, self.permits.learn)
        """Of use where it is alone."""
        self.ledger = Ledger()
        self.outbox = Outbox(place.process)
        self.shelves = {name: Shelf(each) for name, each in config.providers.items()}
        self.providers: dict[str, ProviderClient] = {}
        self.listening = listening
        self.addresses = [address_of(each) for each in listening]
        self.spawn = spawn
        self.tally = Tally(Known.of(config.routing, VERSION))
        self.watchers: set[Callable[[Event], None]] = set()
        self.home = _home(place)
        self.news = News(self.home)
        if place.process:
            self.watchers.add(self.news.put)
        self.store = store_of(config, self.on_store)
        self.limiter = Limiter(config.limits, self.store, _processes(config, place))
        self.identity = Identity(config.auth)
        self.system: System

    def __repr__(self) -> str:
        return f"<Worker {self.state} at {', '.join(self.addresses)}>"

    @property
    def limits(self) -> LimitSettings:
        """Of callers, in force."""
        return self.limiter.limits

    @limits.setter
    def limits(self, limits: LimitSettings) -> None:
        self.limiter.limits = limits

    def on_fault(self, fault: BaseException) -> None:
        """A mistake of ours that was caught: it is logged with its traceback."""
        self.log.error("internal error", exc_info=fault)

    def on_store(self, change: Change) -> None:
        """One line when the store is passed by or full, and one when it is used again."""
        store_line(self.log, change, ending=self.state == "draining")

    def on_event(self, event: Event) -> None:
        """What happens to actors is told, and logged; a crash with its report."""
        for watcher in tuple(self.watchers):
            watcher(event)
        log_event(self.log, event)

    def beside_the_tree(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs as long as the worker does, and is no actor's."""
        store = [] if self.store is None else [self.store.serve]
        return [self.pump.run, self.scan.run, *store]

    def clients(self, context: Context) -> dict[str, ProviderClient]:
        """A client for each provider; made once, for they outlive the streams' incarnations."""
        for name, settings in self.config.providers.items():
            if name not in self.providers:
                ref = context.ref(f"providers/{name}")
                self.providers[name] = ProviderClient(settings, ref, self.shelves[name])
        return self.providers

    def application(self, context: Context) -> Asgi:
        """The routes."""
        limits = self.config.server.limits
        services = AppServices(
            streams=self.streams,
            routing=self.config.routing,
            metrics=context.ref(self.place.metrics),
            connections=context.ref(self.place.connections),
            providers=self.provider_states,
            store_trouble=None if self.store is None else self.store.trouble,
            identity=self.identity,
            report=self.report,
            log_small=small_request_line,
            lifecycle=self.lifecycle,
            version=VERSION,
            settings=AppSettings(
                body_limit=limits.body,
                json_depth=limits.json_depth,
                cors_origins=self.config.cors.origins,
            ),
        )
        return build_app(services)

    def report(self, report: RequestReport) -> None:
        """A request has ended, or was turned away: it gets its line in the log, and counts."""
        request_line(report)
        self.ledger.enter(report)

    def serves(self, system: System) -> None:
        """Every actor is ready."""
        self.system = system
        self.state = "serving"

    async def drain(self) -> None:
        """Take no new stream, and let those that run end; all else goes on being answered.

        So a load balancer hears that this replica is not ready, instead of nothing.
        """
        self.state = "draining"
        await self.streams.drain(self.config.server.drain)

    def is_replaced(self) -> bool:
        """Whether it ends alone, and others serve on: then it accepts no more, and refuses none.

        Its edge stops first, and lets what it has begun end; new clients find the others.
        """
        return bool(self.place.process) and self.state == "serving"

    def hurry(self) -> None:
        """End now: each stream with an honest error, all within `FORCE` seconds."""
        self.state = "draining"
        self.streams.shut()
        self.streams.end_all(stopped())
        self.system.hurry(FORCE)

    def live(self) -> int:
        """Streams that are under way."""
        return len(self.streams.live)

    async def restart(self, path: str) -> Done:
        """An operator's restart."""
        return await self.system.restart(path)

    @property
    def several(self) -> bool:
        """Whether there are workers below it, which can be replaced."""
        return False

    async def adopt(self, found: Plan) -> None:
        """Have what a new configuration changes live in force; all else needs a restart."""
        make_live(found, self.slots, self.breakers.circuits)
        self.limits = adopted(self.limits, found.config.limits, found.live)
        self.config = found.config

    def lifecycle(self) -> Lifecycle:
        """Where it is between its start and its end; whether its streams are there, too."""
        if self.state != "serving" or self.streams.accepting:
            return self.state
        state = self.system.inspect("streams").state
        return _LIVES.get(state, "starting")

    def actors(self) -> list[ActorStatistics]:
        """A snapshot of every actor; of none before they have started."""
        if self.state == "starting":
            return []
        found = [self.system.inspect(path) for path in self.system.paths]
        return [each for each in found if isinstance(each, ActorStatistics)]

    def links(self) -> tuple[LinkStatistics, ...]:
        """A snapshot of the link to the host, if there is one."""
        return () if self._links is None else self._links.statistics()

    def provider_states(self) -> dict[str, ProviderState]:
        """Every configured provider, as it is now."""
        return {name: self._provider_state(name) for name in self.config.providers}

    def _provider_state(self, name: str) -> ProviderState:
        if self.state == "starting":
            return "degraded"
        state = self.system.inspect(f"providers/{name}").state
        if state != "running":
            return "down" if state == "stopped" else "degraded"
        guards = self.config.routing.guards()
        found = {guards[each] for each in guards if each[0] == name}
        return health_of([self.permits.state(each) for each in found])


@asynccontextmanager
async def open_worker(
    config: Config,
    listening: list[socket.socket],
    place: Place = ALONE,
    links: Links | None = None,
    spread: Spread | None = None,
) -> AsyncIterator[Worker]:
    """Run the tree; ready when every actor is. Leaving it drains it, then stops it, right to left.

    Left by an exception or a cancellation, it does not drain: each stream is told, and it ends.
    Cancelled before it is ready, it stops what has started, within `FORCE` seconds.

    ``listening``: sockets to serve at, closed with it. ``place``, ``links``, ``spread``: where it
    stands if it is one of several, and how they share the work.
    """
    async with trio.open_nursery() as nursery:
        worker = Worker(config, listening, nursery.start_soon, place, links, spread)
        for run in worker.beside_the_tree():
            nursery.start_soon(run)
        try:
            async with open_system(
                tree_of(worker), on_event=worker.on_event, grace=FORCE, links=links
            ) as system:
                worker.serves(system)
                try:
                    yield worker
                    worker.lease.leave()
                    if not worker.is_replaced():
                        await worker.drain()
                        system.hurry(GRACE)
                except BaseException:
                    worker.hurry()
                    raise
        finally:
            for each in listening:
                each.close()
            nursery.cancel_scope.cancel()


def _home(place: Place) -> Home:
    """This process, as operators call it."""
    name = place.process.partition("#")[0]
    return Home(name, os.getpid(), f"@{name}")


def _processes(config: Config, place: Place) -> int:
    """How many of this replica serve clients."""
    if not place.process:
        return 1
    return max(1, workers_for(config.server.workers, usable_cores()))


def _model_waits(config: Config) -> Iterator[float]:
    for model in config.models.values():
        yield from _waits(model.timeouts)


def _waits(timeouts: Timeouts) -> tuple[float, ...]:
    """What the scan has to find in time."""
    return (timeouts.first_chunk, timeouts.idle, timeouts.heartbeat, timeouts.total)


def address_of(sock: socket.socket) -> str:
    """Where ``sock`` listens, as a client writes it."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
