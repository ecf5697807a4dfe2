"""A tally as a scraper reads it: the text format and OpenMetrics, and which of the two.

`prometheus_client` writes both; what it gets are families made from the catalog, without the
``_created`` series (``decision 25``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import trio
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics_format
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .tally import Counter, Distribution, Gauge, Histogram, Tally

_NO_ESCAPING = "allow-utf-8"
"""Our names need no escaping; the default walks through every character of every sample."""

_EOF = b"# EOF\n"
"""What OpenMetrics ends with."""


class Exposition(msgspec.Struct, frozen=True):
    """A format of the exposition."""

    content_type: str
    openmetrics: bool


TEXT = Exposition(CONTENT_TYPE_PLAIN_0_0_4, openmetrics=False)
OPENMETRICS = Exposition(openmetrics_format.CONTENT_TYPE_LATEST, openmetrics=True)


class Renderer:
    """Writes one tally, again and again; a family that has not moved is not written anew.

    `prometheus_client` takes about 13 µs a sample, so a whole exposition is some milliseconds.
    It comes in pieces, so that an event loop may do something else between them.
    """

    def __init__(self, tally: Tally) -> None:
        self._families = _Families(tally)
        self._written: dict[tuple[str, bool], tuple[Metric, bytes]] = {}

    def pieces(self, *, openmetrics: bool) -> Iterator[bytes]:
        """The exposition, a family at a time, all of them as they are at the first one."""
        for family in list(self._families.collect()):
            yield self._piece(family, openmetrics=openmetrics)
        if openmetrics:
            yield _EOF

    async def text(self, *, openmetrics: bool) -> bytes:
        """The exposition; other tasks run between two families."""
        pieces = []
        for piece in self.pieces(openmetrics=openmetrics):
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        return b"".join(pieces)

    def _piece(self, family: Metric, *, openmetrics: bool) -> bytes:
        key = (family.name, openmetrics)
        before = self._written.get(key)
        if before is not None and before[0] == family:
            return before[1]
        piece = _write(family, openmetrics=openmetrics)
        self._written[key] = family, piece
        return piece


def render(tally: Tally, *, openmetrics: bool) -> bytes:
    """Every metric of ``tally`` in OpenMetrics 1.0.0 or the text format 0.0.4."""
    return b"".join(Renderer(tally).pieces(openmetrics=openmetrics))


def _write(family: Metric, *, openmetrics: bool) -> bytes:
    if not openmetrics:
        return generate_latest(_One(family), escaping=_NO_ESCAPING)
    output: bytes = openmetrics_format.generate_latest(  # type: ignore[no-untyped-call]
        _One(family), escaping=_NO_ESCAPING
    )
    return output.removesuffix(_EOF)


class _One(Collector):
    """A single family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """The family."""
        yield self._family


class _Families(Collector):
    """The tally's series as `prometheus_client` wants to be given them."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """One family a metric, in the catalog's order."""
        for series in self._tally.series.values():
            match series:
                case Counter():
                    yield _counter(series)
                case Gauge():
                    yield _gauge(series)
                case Histogram():
                    yield _histogram(series)


def _counter(series: Counter) -> Metric:
    metric = series.metric
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, value in series.cells.items():
        family.add_metric(labels, value)
    return family


def _gauge(series: Gauge) -> Metric:
    metric = series.metric
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, value in series.cells.items():
        family.add_metric(labels, value)
    return family


def _histogram(series: Histogram) -> Metric:
    metric = series.metric
    # OpenMetrics names the unit of a family whose name ends in it.
    family = HistogramMetricFamily(
        metric.name, metric.help, labels=metric.label_names, unit=metric.unit
    )
    bounds = [*map(floatToGoString, series.bounds), "+Inf"]
    for labels, cell in series.cells.items():
        family.add_metric(labels, _cumulative(bounds, cell), cell.sum)
    return family


def _cumulative(bounds: list[str], cell: Distribution) -> list[tuple[str, float]]:
    return list(zip(bounds, itertools.accumulate(cell.buckets), strict=True))


def negotiate(accept: str) -> Exposition:
    """The format to answer an ``Accept`` header with (RFC 9110, section 12.5.1).

    The format with the higher quality; if both have the same, the one that is named more
    exactly, else the text format. It is also what somebody gets who accepts neither: a
    readable answer is more use than a 406.
    """
    ranges = [_parse(part) for part in accept.split(",")]
    openmetrics = _quality(ranges, "application/openmetrics-text", "1.0.0")
    text = _quality(ranges, "text/plain", "0.0.4")
    return OPENMETRICS if openmetrics[0] > 0 and openmetrics > text else TEXT


class _Range(msgspec.Struct, frozen=True):
    """One media range of an ``Accept`` header."""

    media: str
    version: str | None
    quality: float


def _parse(part: str) -> _Range:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    values = dict(_parameter(piece) for piece in parameters)
    return _Range(media, values.get("version"), _weight(values.get("q", "1")))


def _parameter(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return name.strip(), value.strip().strip('"')


def _weight(value: str) -> float:
    """A ``q``: 0 to 1; what is none counts as not said."""
    try:
        weight = float(value)
    except ValueError:
        return 1.0
    return weight if 0.0 <= weight <= 1.0 else 1.0


def _quality(ranges: list[_Range], media: str, version: str) -> tuple[float, int]:
    """(quality, how exactly it is named) of the most exact range that covers the format.

    A range that asks for another version does not cover it.
    """
    kind = media.partition("/")[0]
    exactness = {"*/*": 1, f"{kind}/*": 2, media: 3}
    covering = [
        (exactness[each.media] + (each.version is not None), each.quality)
        for each in ranges
        if each.media in exactness and each.version in {None, version}
    ]
    exact, quality = max(covering, default=(0, 0.0))
    return quality, exact
