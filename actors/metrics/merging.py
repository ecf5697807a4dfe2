"""The numbers of several processes as one: what the host of a replica renders. Pure.

Counters and histograms add up, and stay when a process ends: nothing ever goes back; so does
what ended within the last minute. Gauges are what the living say they are: those of a process
that has ended vanish with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from .accounting import Load, Rates, Window
from .catalog import Metric
from .tally import Delta, Gauge, Gauges, Labels, Tally

_TOGETHER: dict[str, Callable[[Iterable[float]], float]] = {
    "sluice_build_info": max,
    "process_start_time_seconds": min,
}
"""How the values of several processes become one where their sum means nothing."""


def _together(metric: Metric) -> Callable[[Iterable[float]], float]:
    """Of states, the worst: two that are in state 1 are in no state 2."""
    return _TOGETHER.get(metric.name, max if metric.states else sum)


class Extracted(msgspec.Struct, frozen=True):
    """Counts since the last time, and all gauges now."""

    delta: Delta
    gauges: Gauges | None = None
    """None: another share follows, which has them."""
    load: Load = Load()


class Share(msgspec.Struct, frozen=True):
    """What one process tells of itself."""

    number: int
    """Counts up from 1 in each process, so that a share that is told twice counts once."""
    content: Extracted


class _Part(msgspec.Struct):
    """What is known of one process that lives."""

    number: int = 0
    """Of the last share that was taken."""
    gauges: Gauges = {}


class Whole:
    """The numbers of a replica, in ``tally``, which nobody else writes to.

    Every ``now`` is in seconds on one clock that never goes back.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._window = Window()
        self._parts: dict[str, _Part] = {}
        self.foreign = 0
        """Label sets that were told and that this release has not: they are left out."""

    def begin(self, now: float) -> None:
        """Say when there was something to count for the first time; later calls do nothing."""
        self._window.begin(now)

    def take(self, process: str, share: Share, now: float) -> bool:
        """Add a share of ``process``; False if it was taken before.

        A worker that was started after an upgrade may be of another release than its host. What
        that one counts and we do not is left out; it must not end a replica that serves.
        """
        part = self._parts.setdefault(process, _Part())
        if share.number <= part.number:
            return False
        part.number = share.number
        content = share.content
        delta = self.tally.known_of(content.delta)
        self.foreign += content.delta.size - delta.size
        self.tally.merge(delta)
        self._window.add_load(now, content.load)
        if content.gauges is not None:
            part.gauges = content.gauges
        return True

    def numbers(self) -> dict[str, int]:
        """Of the last share that was taken, by process."""
        return {process: part.number for process, part in self._parts.items()}

    def forget(self, process: str) -> None:
        """``process`` has ended: its gauges are no more, its counts stay. Idempotent."""
        self._parts.pop(process, None)

    def settle(self) -> None:
        """Set every gauge to what those processes say that live, together."""
        for series in self.tally.series.values():
            if isinstance(series, Gauge):
                combine = _together(series.metric)
                said = self._said(series)
                series.cells = {labels: combine(values or [0.0]) for labels, values in said.items()}

    def rates(self, now: float) -> Rates:
        """The rates of the last minute, with what ended in processes that live no more."""
        return self._window.rates(now)

    def _said(self, gauge: Gauge) -> dict[Labels, list[float]]:
        said: dict[Labels, list[float]] = {labels: [] for labels in gauge.cells}
        for part in self._parts.values():
            for labels, value in part.gauges.get(gauge.metric.name, ()):
                if len(labels) == len(gauge.metric.labels):
                    said.setdefault(labels, []).append(value)
        return said
