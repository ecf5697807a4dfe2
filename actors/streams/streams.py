"""The streams of a worker: one task each, beside them the pump and the scan.

A stream's task is the one that brought its request: the edge's, for as long as the stream
lives. Nothing is gained by another, and a task and two switches a stream are saved.

Promises:

* A stream's end is its own, and so is its fault: nothing that happens to this actor, or to
  another stream, touches it, unless it is told to end.
* While it drains it takes no new stream, gives those that run ``drain`` seconds, and then ends
  each with one honest error.
* The chunks of a long stream are counted while it runs, not when it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import trio

from sluice.actors.breakers.circuits import Bulletin
from sluice.actors.breakers.permits import Permits
from sluice.actors.failures import Failure
from sluice.actors.ids import new_id
from sluice.actors.limits.limiter import Limiter
from sluice.actors.metrics.metrics import ChunksStreamed
from sluice.actors.metrics.reports import RequestReport
from sluice.actors.providers.provider import ProviderClient
from sluice.actors.providers.upstream_failures import stopped
from sluice.actors.settings import RescueSettings, RetrySettings, Routing
from sluice.actors.slots.returns import Returns
from sluice.engine import Actor, ActorError, Context, Mailbox, Message, Ref, handler

from .client import Client
from .job import Job, Services
from .pump import Pump, PumpStatistics
from .relay import LAST_WORDS, live
from .scan import Scan
from .stream import Stream

TELL_CHUNKS = 1.0
"""Seconds between two counts of the chunks of streams that run."""


class Place(msgspec.Struct, frozen=True):
    """Where a worker stands: alone, or one of several below a host."""

    process: str = ""
    """Its name; empty: it is alone."""
    connections: str = "connections"
    """The address of the connection manager of the replica; streams ask the worker's own."""
    metrics: str = "metrics"
    """That of who renders the metrics of the replica; what counts is always the worker's own."""
    breakers: str = "breakers/{}"
    """That of who minds the circuit breakers of a provider, with its name for ``{}``."""


ALONE = Place()


class StreamsStatistics(msgspec.Struct, frozen=True):
    """A snapshot."""

    live: int
    draining: bool
    permits: int
    """Held, of the circuit breakers: one a call."""
    pump: PumpStatistics


class Learn(Message[None], frozen=True):
    """What is known of the circuit breakers has changed."""

    bulletin: Bulletin


class NotAccepting(Exception):  # noqa: N818 -- a state, named as such
    """There is no incarnation that takes streams: it starts, drains or was stopped."""


class StreamService:
    """What the edge sees of the actor ``streams``: it outlives the actor's incarnations."""

    def __init__(self) -> None:
        self._services: Services | None = None
        self.live: dict[str, Stream] = {}
        self._owed: Counter[str] = Counter()
        """Chunks by provider that the metrics have not heard of."""

    @property
    def accepting(self) -> bool:
        """Whether `run` would take a stream now."""
        return self._services is not None

    async def drain(self, seconds: float) -> None:
        """Take no more streams; give those that run ``seconds``; end what is left honestly."""
        self.shut()
        with trio.move_on_after(seconds):
            await self._until_empty()
        self.end_all(stopped())
        with trio.move_on_after(2 * LAST_WORDS):
            await self._until_empty()

    def end_all(self, failure: Failure) -> None:
        """End every stream with ``failure``. Synchronous; the tasks do it."""
        for stream in tuple(self.live.values()):
            stream.interrupt(failure)

    async def tell_chunks(self, metrics: Ref) -> None:
        """Have the chunks counted that streams under way delivered since the last time.

        Asked, not told: what nobody counts just now is owed, not lost.
        """
        told, self._owed = self._owed + self._untold(), Counter()
        if told:
            try:
                await metrics.ask(ChunksStreamed(dict(told)))
            except ActorError:
                self._owed += told
            except trio.Cancelled:  # what nobody waits for is not handled
                self._owed += told
                raise

    def _untold(self) -> Counter[str]:
        """Chunks by provider, told by this. A function: a loop would keep its last stream."""
        counts: Counter[str] = Counter()
        for stream in self.live.values():
            flow = stream.heard
            if flow is not None and stream.answer_began and flow.chunks > flow.told_chunks:
                counts[stream.model.provider] += flow.chunks - flow.told_chunks
                flow.told_chunks = flow.chunks
        return counts

    async def _until_empty(self) -> None:
        while self.live:
            await next(iter(self.live.values())).ended.wait()

    def open(self, services: Services) -> None:
        """An incarnation is ready: streams may begin."""
        self._services = services

    def shut(self) -> None:
        """Take no more streams."""
        self._services = None

    async def run(self, job: Job, client: Client) -> None:
        """Serve ``job``; return when ``client`` has all that it gets. Raises `NotAccepting`."""
        if self._services is None:
            raise NotAccepting
        stream = Stream(new_id(), job, client, self._services)
        self.live[stream.id] = stream
        try:
            await live(stream)
        finally:
            del self.live[stream.id]


class Streams(Actor):
    """The actor ``streams``. It holds connections: a restart drains it.

    Args:
        service: what outlives it.
        make_providers: the providers' clients, for an incarnation's context.
        limiter: the worker's.
        pump: the worker's.
        scan: the worker's, running.
        spawn: starts a task of the worker's.
        drain: seconds that streams get to end when it is stopped.
        returns: where streams give their slots back.
        permits: of the circuit breakers.
        report: takes each stream's report.
        on_fault: takes what was a mistake of ours.
        routing: where fallbacks are found.
        retries: how often a provider is asked.
        rescue: whether streams that break off are gone on with.
    """

    mailbox = Mailbox(capacity=1024)

    def __init__(  # noqa: PLR0913 -- what streams need of their worker
        self,
        service: StreamService,
        make_providers: Callable[[Context], Mapping[str, ProviderClient]],
        *,
        limiter: Limiter,
        pump: Pump,
        scan: Scan,
        spawn: Callable[..., None],
        drain: float,
        returns: Returns,
        permits: Permits,
        report: Callable[[RequestReport], None],
        on_fault: Callable[[BaseException], None],
        routing: Routing,
        retries: RetrySettings,
        rescue: RescueSettings,
    ) -> None:
        self._service = service
        self._make_providers = make_providers
        self._limiter = limiter
        self._pump = pump
        self._scan = scan
        self._spawn = spawn
        self._drain = drain
        self._returns = returns
        self._permits = permits
        self._report = report
        self._on_fault = on_fault
        self._routing = routing
        self._retries = retries
        self._rescue = rescue

    async def on_start(self) -> None:
        """Begin to take streams."""
        self.context.spawn(self._tell_chunks)
        self._permits.reach(self.context.ref)
        self.context.spawn(self._permits.tell_for_ever)
        self.context.spawn(self._permits.look_for_ever)
        services = Services(
            limiter=self._limiter,
            connections=self.context.ref("connections"),
            returns=self._returns,
            providers=self._make_providers(self.context),
            pump=self._pump,
            scan=self._scan,
            spawn=self._spawn,
            report=self._report,
            on_fault=self._on_fault,
            routing=self._routing,
            retries=self._retries,
            rescue=self._rescue,
            permits=self._permits,
        )
        self._service.open(services)

    def on_end(self) -> None:
        """After a crash too: no stream begins without this actor."""
        self._service.shut()

    async def on_stop(self) -> None:
        """Drain: wait for the streams that run, then end what is left of them honestly."""
        await self._service.drain(self._drain)
        await self._service.tell_chunks(self.context.ref("metrics"))

    @handler
    def learn(self, message: Learn) -> None:
        """Know it."""
        self._permits.learn(message.bulletin)

    def statistics(self) -> StreamsStatistics:
        """A snapshot."""
        return StreamsStatistics(
            len(self._service.live),
            not self._service.accepting,
            self._permits.held,
            self._pump.statistics(),
        )

    async def _tell_chunks(self) -> None:
        while True:
            await trio.sleep(TELL_CHUNKS)
            await self._service.tell_chunks(self.context.ref("metrics"))
