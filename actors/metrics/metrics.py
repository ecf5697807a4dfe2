"""The actor that counts: it takes what others tell, and renders it for ``/metrics``.

Reports of requests lie in a `Ledger`, which it reads; for the rest everybody tells (`Count`, ...)
and only the edge asks (`Render`, `Figures`), so no stream ever waits for a metric. The numbers
belong to whoever made the tally, the window and the ledger: each incarnation is given the same
ones, so a crash or a restart loses nothing counted, and what is told in between waits in the
mailbox. Should the mailbox be full, the newest message is dropped and counted by the engine
(``sluice_mailbox_overflow_total``); what finds the ledger full, by ``sluice_reports_lost_total``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import trio

from sluice.engine import Actor, Mailbox, Message, handler

from .accounting import Window, updates
from .catalog import ALL, Kind
from .exposition import OPENMETRICS, TEXT, Exposition, Renderer, negotiate
from .ledger import Ledger
from .outbox import Outbox
from .pages import Page, Rest, Rests
from .process import sample_process
from .samplers import Sampler, watch_loop
from .tally import Labels, Tally

__all__ = [
    "OPENMETRICS",
    "TEXT",
    "ChunksStreamed",
    "Count",
    "Exposition",
    "Extract",
    "Figures",
    "Metrics",
    "Observe",
    "Render",
    "SetGauge",
    "Vitals",
    "negotiate",
]


READING = 0.05
"""Seconds between an entry in the ledger and its reading, with all that came meanwhile."""

PAGE = 32
"""Entries that are read before other tasks have a turn: half a millisecond."""


class ChunksStreamed(Message[None], frozen=True):
    """Chunks delivered to clients since the last time, by provider (``seed 8.1``)."""

    counts: dict[str, int]


def _check(kind: Kind, name: str, labels: Labels) -> None:
    """A message with a metric that is not declared is its sender's mistake: ValueError there."""
    metric = ALL.get(name)
    if metric is None or metric.kind != kind:
        raise ValueError(f"no {kind} is called {name}")
    if len(labels) != len(metric.labels):
        raise ValueError(f"{name} has labels {metric.label_names}, not {labels}")


class Count(Message[None], frozen=True):
    """Add ``n`` (not negative) to a counter."""

    name: str
    labels: Labels = ()
    n: float = 1.0

    def __post_init__(self) -> None:
        _check("counter", self.name, self.labels)
        if not self.n >= 0:
            raise ValueError(f"{self.name} cannot change by {self.n}")


class SetGauge(Message[None], frozen=True):
    """Set a gauge to ``value``."""

    name: str
    labels: Labels
    value: float

    def __post_init__(self) -> None:
        _check("gauge", self.name, self.labels)


class Observe(Message[None], frozen=True):
    """Add an observation of ``value`` to a histogram, in its unit."""

    name: str
    labels: Labels
    value: float

    def __post_init__(self) -> None:
        _check("histogram", self.name, self.labels)


class Extract(Message[None], frozen=True):
    """Put what was counted since the last time into the outbox, for another process."""


class Render(Message[Page], frozen=True):
    """Ask for the exposition, in OpenMetrics or the text format (see `negotiate`).

    `pages.read` asks for it, and for the rest of it if it is long.
    """

    openmetrics: bool


class Vitals(msgspec.Struct, frozen=True):
    """What ``/health`` says about the load (``seed J``), over the last minute."""

    active_connections: int
    connection_limit: int
    requests_per_second: float
    error_rate_percent: float


class Figures(Message[Vitals], frozen=True):
    """Ask for the load."""


class Metrics(Actor):
    """Counts and renders.

    Args:
        tally: the numbers, kept by the factory from one incarnation to the next.
        window: the last minute, likewise.
        ledger: the reports of requests that ended, likewise.
        samplers: what to read before each rendering.
        loop_interval: seconds between two looks at the event loop's delay; None: never.
        outbox: where shares for another process lie, likewise kept.
    """

    mailbox: ClassVar[Mailbox] = Mailbox(capacity=65_536, overflow="drop_newest")

    def __init__(
        self,
        tally: Tally,
        window: Window,
        ledger: Ledger,
        samplers: Sequence[Sampler] = (sample_process,),
        loop_interval: float | None = 1.0,
        outbox: Outbox | None = None,
    ) -> None:
        super().__init__()
        self._tally = tally
        self._window = window
        self._ledger = ledger
        self._samplers = samplers
        self._loop_interval = loop_interval
        self._outbox = Outbox() if outbox is None else outbox
        self._renderer = Renderer(tally)
        self._rests = Rests()

    async def on_start(self) -> None:
        """Begin the window, read the ledger from here on, and watch the event loop."""
        self._window.begin(trio.current_time())
        self._tally.apply([("sluice_build_info", (self._tally.known.version,), 1.0)])
        self.context.spawn(self._read_for_ever)
        if self._loop_interval is not None:
            self.context.spawn(watch_loop, self._tally, self._loop_interval)

    @handler
    def chunks_streamed(self, message: ChunksStreamed) -> None:
        """Count chunks of streams that still run."""
        for provider, chunks in message.counts.items():
            self._tally.apply([("sse_chunks_streamed_total", (provider,), chunks)])

    @handler
    def count(self, message: Count) -> None:
        """Count something that is not a request's end."""
        self._tally.apply([(message.name, message.labels, message.n)])

    @handler
    def set_gauge(self, message: SetGauge) -> None:
        """Take over a gauge's value."""
        self._tally.apply([(message.name, message.labels, message.value)])

    @handler
    def observe(self, message: Observe) -> None:
        """Take an observation."""
        self._tally.apply([(message.name, message.labels, message.value)])

    @handler
    async def extract(self, _message: Extract) -> None:
        """Everything up to now; counting begins again from zero.

        It is taken out and kept in one step: whoever asked may have gone meanwhile.
        """
        await self._read_all()
        self._sample()
        if self._outbox.has_room:
            self._outbox.fill(self._tally, self._window.take())

    @handler
    async def render(self, message: Render) -> Page:
        """The exposition. Between two families, other tasks run: no stream waits for it."""
        await self._read_all()
        self._sample()
        return self._rests.begin(await self._renderer.text(openmetrics=message.openmetrics))

    @handler
    def rest(self, message: Rest) -> Page | None:
        """More of an exposition that was begun."""
        return self._rests.next(message.number)

    @handler
    async def figures(self, message: Figures) -> Vitals:  # noqa: ARG002 -- the message says only what
        """The load of the last minute."""
        await self._read_all()
        self._sample()
        rates = self._window.rates(trio.current_time())
        return Vitals(
            int(self._tally.value("sse_active_connections")),
            int(self._tally.value("sse_connection_limit")),
            rates.requests_per_second,
            rates.error_rate_percent,
        )

    def _read_page(self) -> bool:
        """Count what some reports move; whether there may be more."""
        for _ in range(PAGE):
            entry = self._ledger.read()
            if entry is None:
                return False
            self._tally.apply(updates(entry.report))
            self._window.add(entry.at, entry.report)
        return True

    async def _read_all(self) -> None:
        more = True
        while more:
            more = self._read_page()
            await trio.lowlevel.checkpoint()

    async def _read_for_ever(self) -> None:
        while True:
            await self._ledger.wait()
            await trio.sleep(READING)
            await self._read_all()

    def _sample(self) -> None:
        self._tally.raise_to("sluice_reports_lost_total", (), self._ledger.lost)
        for sample in self._samplers:
            sample(self._tally)
