"""The numbers of several processes as one: what the host of a replica renders. Pure.

Counters and histograms add up, and stay when a process ends: nothing ever goes back. Gauges
are what the living say they are: those of a process that has ended vanish with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from .accounting import Load, Rates, rates_of
from .tally import Delta, Gauge, Gauges, Labels, Tally

_TOGETHER: dict[str, Callable[[Iterable[float]], float]] = {
    "sluice_build_info": max,
    "process_start_time_seconds": min,
}
"""How the values of several processes become one where their sum means nothing."""


class Extracted(msgspec.Struct, frozen=True):
    """Counts since the last time, and all gauges now."""

    delta: Delta
    gauges: Gauges
    load: Load


class Share(msgspec.Struct, frozen=True):
    """What one process tells of itself."""

    number: int
    """Counts up from 1 in each process, so that a share that is told twice counts once."""
    content: Extracted


class _Part(msgspec.Struct):
    """The last share of one process."""

    number: int = 0
    gauges: Gauges = {}
    load: Load = Load()


class Whole:
    """The numbers of a replica, in ``tally``, which nobody else writes to."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._parts: dict[str, _Part] = {}

    def take(self, process: str, share: Share) -> bool:
        """Add a share of ``process``; False if it was taken before.

        Raises ValueError or KeyError if the catalog of that process is another than ours.
        """
        part = self._parts.setdefault(process, _Part())
        if share.number <= part.number:
            return False
        content = share.content
        self.tally.merge(content.delta)
        self._parts[process] = _Part(share.number, content.gauges, content.load)
        return True

    def numbers(self) -> dict[str, int]:
        """Of the last share that was taken, by process."""
        return {process: part.number for process, part in self._parts.items()}

    def forget(self, process: str) -> None:
        """``process`` has ended: its gauges are no more, its counts stay. Idempotent."""
        self._parts.pop(process, None)

    def settle(self) -> None:
        """Set every gauge to what those processes say that live, together."""
        for name, cells in self._said().items():
            combine = _TOGETHER.get(name, sum)
            series = self.tally.series[name]
            assert isinstance(series, Gauge)  # noqa: S101 -- `Share.gauges` has only those
            series.cells = {labels: combine(values) for labels, values in cells.items()}

    def rates(self) -> Rates:
        """The load of the last minute, of those that live."""
        return rates_of([part.load for part in self._parts.values()])

    def _said(self) -> dict[str, dict[Labels, list[float]]]:
        said: dict[str, dict[Labels, list[float]]] = {
            name: {labels: [] for labels in series.cells}
            for name, series in self.tally.series.items()
            if isinstance(series, Gauge)
        }
        for part in self._parts.values():
            for name, cells in part.gauges.items():
                for labels, value in cells:
                    said[name].setdefault(labels, []).append(value)
        return {name: {k: v or [0.0] for k, v in cells.items()} for name, cells in said.items()}
