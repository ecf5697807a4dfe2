"""Metrics over processes: each worker gives its shares, the host adds them up and renders.

* A share is given again until it was taken, and taken once: nothing is lost or counted twice
  while the process that counted it lives. One that is killed takes at most `INTERVAL` seconds of
  counts with it, and of the chunks of streams under way `streams.TELL_CHUNKS` more; one that is
  stopped gives its last shares before it goes.
* A scrape asks every worker for its shares first, for at most `FRESH` seconds; of one that does
  not answer in time, the last ones count.
* A worker that was replaced and drains is asked no more: it gives unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from sluice.actors.slots.connections import Count
from sluice.engine import Actor, ActorError, Mailbox, Message, Ref, handler

from .accounting import Load
from .exposition import Renderer
from .merging import Whole
from .metrics import Extract, Figures, Render, Vitals
from .outbox import Given, Outbox
from .pages import Page, Rest, Rests
from .samplers import Sampler, watch_loop
from .tally import Tally

INTERVAL = 1.0
"""Seconds between two looks at the workers' shares, and at the event loop's delay."""

FRESH = 0.25
"""Seconds that a scrape waits for shares."""

MAKING = 0.2
"""Seconds that the metrics of a worker have to make a share; else those that are made count."""

UNASKED = 3.0
"""Seconds after which a worker that is not asked gives its shares by itself."""

LAST = 1.0
"""Seconds for the last shares of a worker that stops."""


class GiveShares(Message[Given], frozen=True):
    """Give what was counted; ``taken`` has the last number that arrived, by process."""

    taken: dict[str, int]


class TakeShares(Message[None], frozen=True):
    """The last shares of a process that stops."""

    given: Given


class ShareGiver(Actor):
    """The actor ``shares`` of a worker.

    Args:
        outbox: kept by the factory from one incarnation to the next.
        metrics: the path of the worker's own metrics, which count.
        collector: that of the host's, which adds up.
    """

    mailbox = Mailbox(capacity=64)

    def __init__(self, outbox: Outbox, metrics: str, collector: str) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._collector = collector
        self._was_asked = False

    async def on_start(self) -> None:
        """See to it that somebody has the shares."""
        self.context.spawn(self._give_unasked)

    async def on_stop(self) -> None:
        """Give the last shares. If nobody takes them, what they count is lost with the process."""
        with trio.move_on_after(LAST):
            await self._give_all()

    @handler
    async def give(self, message: GiveShares) -> Given:
        """What was not taken, and what was counted since."""
        self._was_asked = True
        self._outbox.taken(message.taken.get(self._outbox.process, 0))
        await self._make()
        return self._outbox.give()

    async def _make(self) -> None:
        """Shares of what was counted; while the metrics are away there is nothing to share."""
        if not self._outbox.has_room:
            return
        try:
            await self.context.ref(self._metrics).ask(Extract(), timeout=MAKING)
        except ActorError:
            return

    async def _give_unasked(self) -> None:
        while True:
            self._was_asked = False
            await trio.sleep(UNASKED)
            if not self._was_asked:
                await self._give_all()

    async def _give_all(self) -> None:
        """Tell the host all that was counted up to now, if it listens."""
        await self._make()
        while (given := self._outbox.give()).shares:
            try:
                await self.context.ref(self._collector).ask(TakeShares(given))
            except ActorError:
                return
            self._outbox.taken(given.shares[-1].number)
            if given.more:
                await self._make()


class Collector(Actor):
    """The actor ``metrics`` of a host: adds up, and renders the whole replica.

    Args:
        whole: the numbers, kept by the factory from one incarnation to the next. Whoever sees a
            process end has them forget it, not this actor: it may be stopped then.
        own: what the host itself counts, likewise.
        outbox: its shares, likewise.
        samplers: what to read into ``own`` before each rendering.
        givers: the actors ``shares`` of the workers.
        slots: the host's connection manager, which the samplers read: it is asked to look at
            what the workers hold now.
    """

    mailbox = Mailbox(capacity=16_384)

    def __init__(
        self,
        whole: Whole,
        own: Tally,
        outbox: Outbox,
        samplers: Sequence[Sampler],
        givers: Callable[[], Sequence[Ref]],
        slots: str | None = None,
    ) -> None:
        self._whole = whole
        self._own = own
        self._outbox = outbox
        self._samplers = samplers
        self._givers = givers
        self._slots = slots
        self._renderer = Renderer(whole.tally)
        self._rests = Rests()
        self._collecting = trio.Lock()

    async def on_start(self) -> None:
        """Collect for ever, so that one that is killed takes little with it."""
        self._whole.begin(trio.current_time())
        self.context.spawn(self._collect_for_ever)
        self.context.spawn(watch_loop, self._own, INTERVAL)

    @handler
    def take(self, message: TakeShares) -> None:
        """Add them, each once."""
        self._take(message.given)

    @handler
    async def render(self, message: Render) -> Page:
        """The exposition of the replica. Between two families, other tasks run."""
        await self._collect()
        return self._rests.begin(await self._renderer.text(openmetrics=message.openmetrics))

    @handler
    def rest(self, message: Rest) -> Page | None:
        """More of an exposition that was begun."""
        return self._rests.next(message.number)

    @handler
    async def figures(self, _message: Figures) -> Vitals:
        """The load of the last minute."""
        await self._collect()
        rates = self._whole.rates(trio.current_time())
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
                    if self._slots is not None:
                        nursery.start_soon(self._look, self.context.ref(self._slots))
            self._add_own()
            self._whole.settle()

    async def _look(self, slots: Ref) -> None:
        with suppress(ActorError):  # then what it was told last counts
            await slots.ask(Count())

    async def _collect_from(self, giver: Ref) -> None:
        more = True
        while more:
            try:
                given = await giver.ask(GiveShares(self._whole.numbers()))
            except ActorError:  # it starts, stops, or is held up: the next time, then
                return
            self._take(given)
            more = given.more

    def _take(self, given: Given) -> None:
        now = trio.current_time()
        for share in given.shares:
            self._whole.take(given.process, share, now)

    def _add_own(self) -> None:
        self._own.raise_to("sluice_foreign_counts_total", (), self._whole.foreign)
        for sample in self._samplers:
            sample(self._own)
        self._outbox.fill(self._own, Load())
        while (given := self._outbox.give()).shares:
            self._take(given)
            self._outbox.taken(given.shares[-1].number)
