"""The host of a replica with several workers: it owns the sockets, the slots and the numbers.

::

    root                one_for_one
     ├─ store           our own Valkey, or what stands for the configured one
     ├─ metrics         adds up what the workers count, renders /metrics
     ├─ connections     the slots of this replica
     ├─ breakers        one_for_one: the circuit breakers, one actor a provider
     ├─ control         what workers tell operators
     └─ workers         one_for_one: one child a process
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import trio

from sluice.actors.breakers.breakers import OTHER, Bereaved
from sluice.actors.breakers.circuits import Bulletin
from sluice.actors.metrics.catalog import Known
from sluice.actors.metrics.merging import Whole
from sluice.actors.metrics.outbox import Outbox
from sluice.actors.metrics.process import sample_process
from sluice.actors.metrics.samplers import breaker_sampler, engine_sampler
from sluice.actors.metrics.shares import Collector
from sluice.actors.metrics.tally import Tally
from sluice.actors.settings import LimitSettings
from sluice.actors.slots.leases import Leases
from sluice.actors.slots.lending import Lender, Shrink
from sluice.actors.store import Change
from sluice.actors.streams.streams import Learn
from sluice.engine import (
    ActorError,
    ActorStatistics,
    ChildSpec,
    Done,
    EngineError,
    Event,
    Links,
    ProcessSpec,
    ProcessStatistics,
    Ref,
    SupervisorSpec,
    System,
    open_system,
)
from sluice.http.services import Lifecycle
from sluice.http.spread import make_page
from sluice.http.stand_in import StandIn
from sluice.ops.breakers import BREAKERS, ReplicaBreakers
from sluice.ops.config import Config
from sluice.ops.control.desk import Desk, HostControl
from sluice.ops.control.limits import adopted
from sluice.ops.control.orders import CONTROL, LimitTo, LogFrom
from sluice.ops.ending import FORCE, GRACE, LEAVING
from sluice.ops.lines import log_event, store_line
from sluice.ops.logs import get_logger
from sluice.ops.place import (
    CONFIGURATION,
    HOST,
    LISTENING,
    PROTOCOL,
    SPREAD,
    Drain,
    identity,
    worker_name,
)
from sluice.ops.reload import Plan
from sluice.ops.reloading import make_live
from sluice.ops.rolling import START, WORKERS, Interrupted, Rolling
from sluice.ops.store import store_children, store_of, store_sampler
from sluice.ops.worker import VERSION, address_of

_ENDED = frozenset({"process_exited", "process_killed"})

RESTARTS = 3
"""Of each worker within five seconds, before all of them are taken down and started anew. Many
may fall at once (those of a host that was held up do), and the others serve on meanwhile."""


class Host:
    """A running replica: what stands beside and above its workers."""

    def __init__(self, config: Config, listening: list[socket.socket], workers: int) -> None:
        self.config = config
        self.names = [worker_name(number) for number in range(1, workers + 1)]
        self.links = Links(HOST, PROTOCOL, peers=self.names)
        self.log = get_logger("sluice.host")
        self.addresses = [address_of(each) for each in listening]
        connections = config.connections
        self.slots = Leases(connections.limit, connections.soft_ratio, workers)
        self.breakers = ReplicaBreakers(config, HOST, self.log, self._push)
        self.store = store_of(config, self._on_store)
        self.tally = Tally(Known.of(config.routing, VERSION))
        self.whole = Whole(self.tally)
        self.own = Tally(self.tally.known)
        """What this process itself counts: part of the whole."""
        self.watchers: set[Callable[[Event], None]] = set()
        self.desk = Desk(config.limits)
        self.state: Lifecycle = "starting"
        self.system: System
        self.rolling: Rolling
        self._patience = trio.CancelScope()
        self._early: list[str] = []
        """Processes that ended before all were ready for the first time."""
        self._listening = listening
        self._spread = make_page(workers)
        self.stand_in = StandIn(
            listening,
            self._nobody_serves,
            self._on_stand_in,
            tls=config.server.tls_cert is not None,
        )
        self._configuration = _memory_file(msgspec.msgpack.encode(config))

    def tree(self) -> SupervisorSpec:
        """What runs in this process, and its workers."""
        circuits = self.breakers.circuits
        outbox = Outbox()
        samplers = (
            sample_process,
            engine_sampler(self.actors, self.links.statistics),
            breaker_sampler(circuits, self._guards),
            store_sampler(self.store, serving=False),
        )
        return SupervisorSpec(
            "root",
            [
                *store_children(self.config, self.store),
                ChildSpec(
                    "metrics",
                    lambda: Collector(
                        self.whole, self.own, outbox, samplers, self._givers, slots="connections"
                    ),
                ),
                ChildSpec("connections", lambda: Lender(self.slots, self._borrowers)),
                self.breakers.tree(),
                ChildSpec(CONTROL, lambda: HostControl(self.desk)),
                SupervisorSpec(
                    WORKERS,
                    [self._worker(name) for name in self.names],
                    intensity=RESTARTS * len(self.names),
                ),
            ],
        )

    def on_event(self, event: Event) -> None:
        """What happens is logged; when a process ends, what it held is free."""
        for watcher in tuple(self.watchers):
            watcher(event)
        log_event(self.log, event)
        if event.kind in _ENDED:
            self._bereave(identity(event.path.rpartition("/")[2], event.generation))

    def opened(self, system: System) -> None:
        """Every worker is ready."""
        self.system = system
        self.rolling = Rolling(system, self.names, self._why_not_now)
        self.state = "serving"
        for process in self._early:
            self._forget(process)

    @property
    def limits(self) -> LimitSettings:
        """Of callers, in force; workers that start hear of them."""
        return self.desk.limits

    @limits.setter
    def limits(self, limits: LimitSettings) -> None:
        self.desk.limits = limits

    def _why_not_now(self) -> str:
        return "" if self.state == "serving" else f"the service is {self.state}"

    async def drain(self) -> None:
        """Have all workers drain at the same time, and end; bounded.

        Those that were replaced, and still drain, have what is left of their own time.
        """
        self.state = "draining"
        with self._patience:
            async with trio.open_nursery() as nursery:
                for name in self.names:
                    nursery.start_soon(self._end, name)
        self.system.hurry(GRACE)

    def hurry(self) -> None:
        """End now: each stream with an honest error, in every worker; then the workers."""
        self.state = "draining"
        self._patience.cancel()
        self._hurry_workers()
        self.system.hurry(FORCE + LEAVING)

    async def watch_start(self) -> None:
        """If the start is ended, so are the workers that serve already: each with honest errors."""
        try:
            await trio.sleep_forever()
        finally:
            if self.state == "starting":
                self._hurry_workers()

    def lifecycle(self) -> Lifecycle:
        """Where it is between its start and its end."""
        return "stopped" if self._nobody_serves() else self.state

    def _nobody_serves(self) -> bool:
        """Whether an operator has stopped all workers; not one that starts again by itself."""
        if self.state != "serving":
            return False
        states = [self.system.inspect(f"{WORKERS}/{name}").state for name in self.names]
        return all(state in {"stopping", "stopped"} for state in states)

    def _on_stand_in(self, begins: bool) -> None:  # noqa: FBT001 -- told, not called with a flag
        if begins:
            self.log.warning("all workers are stopped: every request is answered 503")
        else:
            self.log.info("workers are there again")

    def live(self) -> int:
        """Streams that are under way in all workers: those that hold a slot."""
        return len(self.slots)

    async def restart(self, path: str) -> Done:
        """An operator's restart. Of a worker, the new one is ready before the old one drains.

        Workers that were stopped all together are started all together.
        """
        supervisor, _, name = path.partition("/")
        if supervisor == WORKERS and self.system.inspect(WORKERS).state == "stopped":
            return await self.system.restart(WORKERS)
        if path == WORKERS:
            return await self.rolling.all()
        if supervisor == WORKERS and name in self.names:
            return await self.rolling.one(name)
        return await self.system.restart(path)

    @property
    def several(self) -> bool:
        """Whether there are workers below it, which can be replaced."""
        return True

    async def adopt(self, found: Plan) -> None:
        """Have a new configuration in force: live, and by replacing the workers where it needs.

        Raises `NotPossible` if they cannot be replaced; the old one is in force then.
        """
        before = self.config
        self._take(found)
        if not found.workers:
            return
        failure = await self._roll()
        if failure is None:
            return
        self._take(msgspec.structs.replace(found, config=before))
        if failure.replaced:
            await self.rolling.all()
        raise failure

    async def _roll(self) -> Interrupted | None:
        """Replace all workers; what kept that from its end, if anything did."""
        try:
            await self.rolling.all()
        except Interrupted as failure:
            return failure
        return None

    def _take(self, found: Plan) -> None:
        """What is the host's own changes at once; workers that start have it from now on."""
        self.config = found.config
        known = Known.of(found.config.routing, VERSION)
        for tally in (self.tally, self.own):
            tally.learn(known)
        make_live(found, self.slots, self.breakers.circuits)
        if self.slots.lent > self.slots.limit:
            self.system.ref("connections").tell_nowait(Shrink())
        fresh = _memory_file(msgspec.msgpack.encode(found.config))
        os.dup2(fresh, self._configuration, inheritable=False)  # at once: whoever starts has one
        os.close(fresh)
        limits = adopted(self.limits, found.config.limits, found.live)
        if limits != self.limits:
            self.limits = limits
            for name in self.names:
                self.control(name).tell_nowait(LimitTo(limits))
        if "server.log_level" in found.live:
            for name in self.names:
                self.control(name).tell_nowait(LogFrom(found.config.server.log_level))

    def _guards(self) -> dict[tuple[str, str], str]:
        return self.config.routing.guards()

    def _on_store(self, change: Change) -> None:
        """The workers tell their own; this is the host's."""
        store_line(self.log, change, ending=self.state == "draining")

    def close(self) -> None:
        """Let go of what the workers were given."""
        os.close(self._configuration)
        os.close(self._spread)
        for each in self._listening:
            each.close()

    async def _end(self, name: str) -> None:
        """Have one worker drain; then stop it, and wait for its predecessors.

        One that did not drain in its time has no second one: the ladder's next rung is SIGTERM.
        """
        if self.process(name) is not None:
            await self._have_drained(name)
        try:
            await self.system.stop(f"{WORKERS}/{name}")
        except EngineError as problem:  # such as: it is stopped already
            self.log.info("a worker was not stopped", worker=name, problem=str(problem))
        for old in list(self.links.draining(name)):  # whose ladders are bounded
            await old.exited.wait()

    async def _have_drained(self, name: str) -> None:
        patience = self.config.server.drain + GRACE
        over = trio.current_time() + patience
        try:
            await self.system.ref(f"drain@{name}").ask(Drain(), timeout=patience)
        except ActorError as problem:
            self.log.warning("a worker did not drain", worker=name, problem=str(problem))
        else:
            over = max(over, trio.current_time() + GRACE + LEAVING)
        self.links.hurry(name, over - trio.current_time())

    def _hurry_workers(self) -> None:
        """Those included that are starting, or were replaced and still drain."""
        for name in self.names:
            for process in self.links.running(name):
                process.terminate()

    def _bereave(self, process: str) -> None:
        """The link has ended before: nothing that ``process`` asked is handled after this."""
        self.slots.bereave(process)
        if self.state == "starting":
            self._early.append(process)
        else:
            self._forget(process)

    def _forget(self, process: str) -> None:
        self.whole.forget(process)
        self.desk.ended(process)
        self.system.ref(f"{BREAKERS}/{OTHER}").tell_nowait(Bereaved(process))

    def _push(self, bulletin: Bulletin) -> None:
        """Have the workers know at once. One that cannot be told will ask."""
        for name in self._up():
            with suppress(ActorError):
                self.system.ref(f"streams@{name}").tell_nowait(Learn(bulletin))

    def _givers(self) -> list[Ref]:
        return [self.system.ref(f"shares@{name}") for name in self._up()]

    def _borrowers(self) -> dict[str, Ref]:
        """The workers that can be asked for slots. Those that drain give back by themselves."""
        found = {name: self.process(name) for name in self._up()}
        return {
            identity(name, each.generation): self.system.ref(f"lease@{name}")
            for name, each in found.items()
            if each is not None
        }

    def _up(self) -> list[str]:
        return [] if self.state == "starting" else self.names

    def actors(self) -> list[ActorStatistics]:
        """A snapshot of every actor of this process; of none before they have started."""
        if self.state == "starting":
            return []
        found = [self.system.inspect(path) for path in self.system.paths]
        return [each for each in found if isinstance(each, ActorStatistics)]

    def process(self, name: str) -> ProcessStatistics | None:
        """What is known of the worker ``name``; None while there is none."""
        found = self.system.inspect(f"{WORKERS}/{name}")
        domain = found.domain if isinstance(found, ActorStatistics) else None
        return domain if isinstance(domain, ProcessStatistics) else None

    def control(self, name: str) -> Ref:
        """Where operators' questions to the worker ``name`` go."""
        return self.system.ref(f"{CONTROL}@{name}")

    def _worker(self, name: str) -> ChildSpec:
        descriptors = [each.fileno() for each in self._listening]
        environment = {
            **os.environ,
            CONFIGURATION: str(self._configuration),
            LISTENING: ",".join(map(str, descriptors)),
            SPREAD: f"{self._spread}:{self.names.index(name)}",
        }
        spec = ProcessSpec(
            name,
            [sys.executable, "-m", "sluice.ops.member"],
            env=environment,
            pass_fds=[self._configuration, self._spread, *descriptors],
            drain=self.config.server.drain + GRACE,
            terminate=FORCE + LEAVING,
        )
        return spec.child(self.links, start_timeout=START)


def _memory_file(content: bytes) -> int:
    """A descriptor from which ``content`` can be read, and nothing on any disk."""
    descriptor = os.memfd_create("sluice-configuration")
    os.write(descriptor, content)
    return descriptor


@asynccontextmanager
async def open_host(
    config: Config, listening: list[socket.socket], workers: int
) -> AsyncIterator[Host]:
    """Run a replica of so many workers; ready when all are. Leaving it drains them.

    Left by an exception or a cancellation, it does not drain.
    """
    host = Host(config, listening, workers)
    try:
        async with trio.open_nursery() as nursery:
            for run in [] if host.store is None else [host.store.serve]:
                nursery.start_soon(run)
            nursery.start_soon(host.watch_start)
            async with open_system(
                host.tree(), on_event=host.on_event, grace=FORCE + LEAVING, links=host.links
            ) as system:
                host.opened(system)
                nursery.start_soon(host.stand_in.run)
                try:
                    yield host
                    await host.drain()
                except BaseException:
                    host.hurry()
                    raise
            nursery.cancel_scope.cancel()
    finally:
        host.close()
