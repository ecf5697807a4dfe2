"""Metrics over processes: each worker gives its shares, the host adds them up and renders.

* A share is given again until it was taken, and taken once: nothing is lost or counted twice
  while the process that counted it lives. One that is killed takes at most `INTERVAL` seconds of
  counts with it; one that is stopped gives its last share before it goes.
* A scrape asks every worker for its share first, for at most `FRESH` seconds; of one that does
  not answer in time, the last one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import trio

from sluice.engine import Actor, ActorError, Mailbox, Message, Ref, handler

from .accounting import Load
from .exposition import Renderer
from .merging import Extracted, Share, Whole
from .metrics import Extract, Figures, Render, Vitals
from .samplers import Sampler
from .tally import Tally

INTERVAL = 1.0
"""Seconds between two looks at the workers' shares."""

FRESH = 0.25
"""Seconds that a scrape waits for shares."""

LAST = 1.0
"""Seconds for the last share of a worker that stops."""

WAITING = 8
"""Shares on their way at once: more are not made before some were taken."""


class Given(msgspec.Struct, frozen=True):
    """The shares of ``process`` that may not have arrived."""

    process: str
    shares: list[Share]


class GiveShares(Message[Given], frozen=True):
    """Give what was counted; ``taken`` has the last number that arrived, by process."""

    taken: dict[str, int]


class TakeShares(Message[None], frozen=True):
    """The last shares of a process that stops."""

    given: Given


class Ended(Message[None], frozen=True):
    """``process`` has ended, however it did: its gauges are no more."""

    process: str


class Outbox:
    """The shares of this process that are on their way. It outlives the actor's incarnations."""

    def __init__(self) -> None:
        self._number = 0
        self.shares: list[Share] = []

    @property
    def has_room(self) -> bool:
        """Whether another share may be made."""
        return len(self.shares) < WAITING

    def put(self, content: Extracted) -> None:
        """Make the next share."""
        self._number += 1
        self.shares.append(Share(self._number, content))

    def taken(self, number: int) -> None:
        """Those up to ``number`` have arrived."""
        self.shares = [share for share in self.shares if share.number > number]


class ShareGiver(Actor):
    """The actor ``shares`` of a worker.

    Args:
        process: the worker's name.
        outbox: kept by the factory from one incarnation to the next.
        metrics: the path of the worker's own metrics, which count.
        collector: that of the host's, which adds up.
    """

    mailbox = Mailbox(capacity=64)

    def __init__(self, process: str, outbox: Outbox, metrics: str, collector: str) -> None:
        self._process = process
        self._outbox = outbox
        self._metrics = metrics
        self._collector = collector

    async def on_stop(self) -> None:
        """Give the last share. If nobody takes it, what it counts is lost with the process."""
        with trio.move_on_after(LAST):
            await self._make()
            try:
                collector = self.context.ref(self._collector)
                await collector.ask(TakeShares(Given(self._process, self._outbox.shares)))
            except ActorError:
                return

    @handler
    async def give(self, message: GiveShares) -> Given:
        """All that was not taken, and what was counted since."""
        self._outbox.taken(message.taken.get(self._process, 0))
        await self._make()
        return Given(self._process, self._outbox.shares)

    async def _make(self) -> None:
        """A share of what was counted; while the metrics are away there is nothing to share."""
        if not self._outbox.has_room:
            return
        try:
            self._outbox.put(await self.context.ref(self._metrics).ask(Extract()))
        except ActorError:
            return


class Collector(Actor):
    """The actor ``metrics`` of a host: adds up, and renders the whole replica.

    Args:
        whole: the numbers, kept by the factory from one incarnation to the next.
        own: what the host itself counts, likewise.
        outbox: its shares, likewise.
        samplers: what to read into ``own`` before each rendering.
        givers: the actors ``shares`` of the workers.
    """

    mailbox = Mailbox(capacity=16_384)

    def __init__(
        self,
        whole: Whole,
        own: Tally,
        outbox: Outbox,
        samplers: Sequence[Sampler],
        givers: Callable[[], Sequence[Ref]],
    ) -> None:
        self._whole = whole
        self._own = own
        self._outbox = outbox
        self._samplers = samplers
        self._givers = givers
        self._renderer = Renderer(whole.tally)
        self._collecting = trio.Lock()

    async def on_start(self) -> None:
        """Collect for ever, so that one that is killed takes little with it."""
        self.context.spawn(self._collect_for_ever)

    @handler
    def take(self, message: TakeShares) -> None:
        """Add them, each once."""
        self._take(message.given)

    @handler
    def ended(self, message: Ended) -> None:
        """Its gauges are no more."""
        self._whole.forget(message.process)

    @handler
    async def render(self, message: Render) -> bytes:
        """The exposition of the replica. Between two families, other tasks run."""
        await self._collect()
        pieces = []
        for piece in self._renderer.pieces(openmetrics=message.openmetrics):
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        return b"".join(pieces)

    @handler
    async def figures(self, _message: Figures) -> Vitals:
        """The load of the last minute."""
        await self._collect()
        rates = self._whole.rates()
        tally = self._whole.tally
        return Vitals(
            int(tally.value("sse_active_connections")),
            int(tally.value("sse_connection_limit")),
            rates.requests_per_second,
            rates.error_rate_percent,
        )

    async def _collect_for_ever(self) -> None:
        while True:
            await trio.sleep(INTERVAL)
            await self._collect()

    async def _collect(self) -> None:
        """Ask all that live at the same time, and set the gauges to what is known then."""
        async with self._collecting:
            with trio.move_on_after(FRESH):
                async with trio.open_nursery() as nursery:
                    for giver in self._givers():
                        nursery.start_soon(self._collect_from, giver)
            self._add_own()
            self._whole.settle()

    async def _collect_from(self, giver: Ref) -> None:
        try:
            given = await giver.ask(GiveShares(self._whole.numbers()))
        except ActorError:  # it starts, stops, or is held up: the next time, then
            return
        self._take(given)

    def _take(self, given: Given) -> None:
        for share in given.shares:
            self._whole.take(given.process, share)

    def _add_own(self) -> None:
        for sample in self._samplers:
            sample(self._own)
        self._outbox.put(Extracted(self._own.drain(), self._own.gauges(), Load()))
        self._take(Given("", self._outbox.shares))
        self._outbox.taken(self._whole.numbers()[""])
