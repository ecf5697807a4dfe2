"""The numbers behind the metrics: plain dictionaries, cheap to move, safe to keep.

A `Tally` holds one series set per metric of the catalog. It has no lock and does no IO: one
actor owns it, and it outlives that actor's incarnations.

* Every combination of known label values exists from the start and reads zero, so a rate over
  a series that has not moved yet is 0 and not absent. Counters and sums never go down.
* A label value nobody declared is counted as `OTHER`, so the number of series is bounded
  (``decision 7``).
* `Tally.drain` takes what was counted since the last time as a `Delta`, and `Tally.merge`
  adds one: that is how the counts of several processes come together. Gauges are no part of
  it: they do not add up over time (`Tally.gauges`, `merging`).
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from .catalog import ALL, OTHER, Known, Metric

Labels: TypeAlias = tuple[str, ...]
"""Label values, in the order of `Metric.label_names`."""

Update: TypeAlias = tuple[str, Labels, float]
"""(metric, labels, value): to add to a counter, to set a gauge to, or to observe."""


Gauges: TypeAlias = dict[str, list[tuple[Labels, float]]]
"""The value of each label set of each gauge, by name."""


class Delta(msgspec.Struct, frozen=True):
    """What was counted in a while, by metric. Sent between processes as it is."""

    counts: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, list[int], float]]] = {}
    """(labels, observations by bucket, their sum)."""

    @property
    def size(self) -> int:
        """How many label sets it has."""
        counts = sum(map(len, self.counts.values()))
        return counts + sum(map(len, self.histograms.values()))


class _Cells:
    """What the three kinds share: the metric, and which labels it may carry."""

    cells: dict[Labels, Any]

    def __init__(self, metric: Metric, known: Known) -> None:
        self.metric = metric
        self._allowed = tuple(frozenset(known.values(label)) for label in metric.labels)

    def learn(self, fresh: _Cells) -> None:
        """Have the label sets of ``fresh``, too, and allow what it allows."""
        self._allowed = fresh._allowed
        for labels, cell in fresh.cells.items():
            self.cells.setdefault(labels, cell)

    def fit(self, labels: Labels) -> Labels:
        """``labels`` with what is not declared as `OTHER`; ValueError for a wrong number."""
        pairs = zip(labels, self._allowed, strict=True)
        return tuple(value if value in allowed else OTHER for value, allowed in pairs)


class Counter(_Cells):
    """A number per label set that only rises."""

    def __init__(self, metric: Metric, known: Known) -> None:
        super().__init__(metric, known)
        self.cells: dict[Labels, float] = dict.fromkeys(label_sets(metric, known), 0.0)
        self._totals: dict[Labels, float] = {}
        """What somebody else had counted at the last `raise_to`."""

    def record(self, labels: Labels, value: float = 1.0) -> None:
        """Add ``value``; ValueError if that would lower the counter."""
        if not value >= 0:
            raise ValueError(f"{self.metric.name} cannot change by {value}")
        try:
            self.cells[labels] += value
        except KeyError:
            fitting = self.fit(labels)
            self.cells[fitting] = self.cells.get(fitting, 0.0) + value

    def take(self, most: int | None = None) -> list[tuple[Labels, float]]:
        """What was counted, ``most`` label sets of it; counting begins again from zero."""
        moved = [(labels, value) for labels, value in self.cells.items() if value][:most]
        self.cells.update((labels, 0.0) for labels, _ in moved)
        return moved

    def raise_to(self, labels: Labels, total: float) -> None:
        """Rise by what a total that somebody else counts has risen since the last time.

        One that has fallen was begun again: all of it is new.
        """
        fitting = self.fit(labels)
        before = self._totals.get(fitting, 0.0)
        self._totals[fitting] = total
        self.record(fitting, total - before if total >= before else total)


class Gauge(_Cells):
    """A number per label set that is what it was last set to."""

    def __init__(self, metric: Metric, known: Known) -> None:
        super().__init__(metric, known)
        self.cells: dict[Labels, float] = dict.fromkeys(label_sets(metric, known), 0.0)

    def record(self, labels: Labels, value: float) -> None:
        """Set it to ``value``."""
        self.cells[labels if labels in self.cells else self.fit(labels)] = value


class Distribution:
    """The observations of one label set: how many in each bucket, and their sum.

    A bucket holds what is at most its bound and more than the one before; the last one, what
    is above every bound.
    """

    __slots__ = ("buckets", "sum")

    def __init__(self, bounds: int) -> None:
        self.buckets: list[int] = [0] * (bounds + 1)
        self.sum: float = 0.0


class Histogram(_Cells):
    """A `Distribution` per label set."""

    def __init__(self, metric: Metric, known: Known) -> None:
        super().__init__(metric, known)
        self.bounds = metric.buckets
        self.cells: dict[Labels, Distribution] = {
            labels: Distribution(len(self.bounds)) for labels in label_sets(metric, known)
        }
        self._totals: dict[Labels, tuple[list[int], float]] = {}
        """What somebody else had observed at the last `raise_to`."""

    def record(self, labels: Labels, value: float) -> None:
        """Observe ``value``. What is below zero, or no number, counts as zero.

        A sum that went down would look like a restart to a scraper, and a NaN would stay.
        """
        seconds = value if value >= 0 else 0.0
        cell = self.cells.get(labels) or self._cell(labels)
        cell.buckets[bisect_left(self.bounds, seconds)] += 1
        cell.sum += seconds

    def add(self, labels: Labels, buckets: list[int], total: float) -> None:
        """Add another distribution's observations."""
        cell = self._cell(labels)
        cell.buckets = [ours + theirs for ours, theirs in zip(cell.buckets, buckets, strict=True)]
        cell.sum += total

    def take(self, most: int | None = None) -> list[tuple[Labels, list[int], float]]:
        """What was observed, ``most`` label sets of it; observing begins again from zero."""
        moved = [(labels, cell) for labels, cell in self.cells.items() if any(cell.buckets)][:most]
        self.cells.update((labels, Distribution(len(self.bounds))) for labels, _ in moved)
        return [(labels, cell.buckets, cell.sum) for labels, cell in moved]

    def raise_to(self, labels: Labels, buckets: list[int], total: float) -> None:
        """Add what somebody else has observed since the last time, as `Counter.raise_to`."""
        fitting = self.fit(labels)
        before, seconds = self._totals.get(fitting, ([0] * len(buckets), 0.0))
        self._totals[fitting] = list(buckets), total
        new = [now - then for now, then in zip(buckets, before, strict=True)]
        if min(new) < 0:
            new, seconds = list(buckets), 0.0
        if any(new):
            self.add(fitting, new, max(0.0, total - seconds))

    def _cell(self, labels: Labels) -> Distribution:
        return self.cells.setdefault(self.fit(labels), Distribution(len(self.bounds)))


Series: TypeAlias = Counter | Gauge | Histogram
_KINDS: dict[str, type[Counter | Gauge | Histogram]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": Histogram,
}


class Tally:
    """Every metric's numbers.

    Args:
        known: what the configuration adds to the values of labels.
        metrics: the metrics, by name; the whole catalog if not said otherwise.
    """

    def __init__(self, known: Known, metrics: Mapping[str, Metric] = ALL) -> None:
        self.known = known
        self.series: dict[str, Series] = {
            name: _KINDS[metric.kind](metric, known) for name, metric in metrics.items()
        }

    def learn(self, known: Known) -> None:
        """Have what ``known`` adds to the values of labels, too. What was counted stays."""
        before = self.known
        providers = dict.fromkeys((*before.providers, *known.providers))
        models = dict.fromkeys((*before.models, *known.models))
        self.known = msgspec.structs.replace(
            before, providers=tuple(providers), models=tuple(models)
        )
        for series in self.series.values():
            series.learn(_KINDS[series.metric.kind](series.metric, self.known))

    def apply(self, updates: Iterable[Update]) -> None:
        """Move every metric that ``updates`` name; KeyError for one that is not declared."""
        series = self.series
        for name, labels, value in updates:
            series[name].record(labels, value)

    def value(self, name: str, labels: Labels = ()) -> float:
        """A counter's or gauge's value; a histogram's number of observations."""
        series = self.series[name]
        if isinstance(series, Histogram):
            return sum(series.cells[labels].buckets)
        return series.cells[labels]

    def raise_to(self, name: str, labels: Labels, total: float) -> None:
        """`Counter.raise_to` of the counter ``name``."""
        series = self.series[name]
        if not isinstance(series, Counter):
            raise TypeError(f"{name} is a {series.metric.kind}, not a counter")
        series.raise_to(labels, total)

    def observe_to(self, name: str, labels: Labels, buckets: list[int], total: float) -> None:
        """`Histogram.raise_to` of the histogram ``name``."""
        series = self.series[name]
        if not isinstance(series, Histogram):
            raise TypeError(f"{name} is a {series.metric.kind}, not a histogram")
        series.raise_to(labels, buckets, total)

    def drain(self, most: int | None = None) -> Delta:
        """Take everything counted and observed so far, and begin again from zero.

        ``most``: the number of label sets to take; the rest stays for the next time.
        """
        delta, room = Delta({}, {}), most
        for name, series in self.series.items():
            if isinstance(series, Counter) and (counted := series.take(room)):
                delta.counts[name] = counted
            elif isinstance(series, Histogram) and (observed := series.take(room)):
                delta.histograms[name] = observed
            room = None if most is None else most - delta.size
            if room == 0:
                break
        return delta

    def gauges(self) -> Gauges:
        """Every gauge as it is now: what is no part of a `Delta`. What is left out is zero."""
        return {
            name: [(labels, value) for labels, value in series.cells.items() if value]
            for name, series in self.series.items()
            if isinstance(series, Gauge)
        }

    def merge(self, delta: Delta) -> None:
        """Add what another tally drained. ValueError or KeyError if its catalog is another."""
        for name, counts in delta.counts.items():
            self.apply((name, labels, value) for labels, value in counts)
        for name, observed in delta.histograms.items():
            series = self.series[name]
            if not isinstance(series, Histogram):
                raise ValueError(f"{name} is a {series.metric.kind}, not a histogram")  # noqa: TRY004 -- the delta's content is wrong, not a type of ours
            for labels, buckets, total in observed:
                series.add(labels, buckets, total)

    def known_of(self, delta: Delta) -> Delta:
        """That part of ``delta`` which `merge` takes: another release may count what we do not."""
        return Delta(
            {
                name: [each for each in moved if self._has(name, Counter, each[0])]
                for name, moved in delta.counts.items()
            },
            {
                name: [each for each in seen if self._has(name, Histogram, each[0], each[1])]
                for name, seen in delta.histograms.items()
            },
        )

    def _has(
        self, name: str, kind: type[Series], labels: Labels, buckets: list[int] | None = None
    ) -> bool:
        series = self.series.get(name)
        return (
            isinstance(series, kind)
            and len(labels) == len(series.metric.labels)
            and (buckets is None or len(buckets) == len(series.metric.buckets) + 1)
        )


def label_sets(metric: Metric, known: Known) -> list[Labels]:
    """The label sets ``metric`` has from the start.

    All combinations of the labels' values; but of provider and model only those that are
    configured together, and only `Metric.pairs` where a metric names them.
    """
    if metric.pairs:
        return list(metric.pairs)
    combinations = itertools.product(*(known.values(label) for label in metric.labels))
    names = metric.label_names
    if "model" not in names:
        return list(combinations)
    provider, model = names.index("provider"), names.index("model")
    together = frozenset(known.models)
    return [each for each in combinations if (each[provider], each[model]) in together]
