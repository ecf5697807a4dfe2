"""Rates and latencies out of counters and histograms, between two looks at them. All pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sluice.actors.breakers.breaker import STATES, State
from sluice.actors.metrics.tally import Counter, Gauge, Histogram, Tally

from .protocol import Figures, ProviderFigures


class ProviderGlance(msgspec.Struct, frozen=True):
    """One provider's totals, and its connections now."""

    requests: float = 0.0
    errors: float = 0.0
    idle: int = 0
    active: int = 0
    breaker: State = "closed"


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted up to ``at``, seconds on a clock that never goes back."""

    at: float
    requests: float = 0.0
    errors: float = 0.0
    chunks: float = 0.0
    bounds: tuple[float, ...] = ()
    """Of the histogram of times to the first chunk, in seconds, rising."""
    first_chunks: tuple[int, ...] = ()
    """Observations by bucket; the last is above every bound."""
    connections: int = 0
    connection_limit: int = 0
    providers: dict[str, ProviderGlance] = {}


def glance_at(tally: Tally, now: float) -> Glance:
    """What ``tally`` says at ``now``."""
    bounds, buckets = _distribution(tally, "sse_time_to_first_chunk_seconds")
    return Glance(
        at=now,
        requests=_total(tally, "sse_requests_total"),
        errors=_total(tally, "sse_errors_total"),
        chunks=_total(tally, "sse_chunks_streamed_total"),
        bounds=bounds,
        first_chunks=buckets,
        connections=int(_total(tally, "sse_active_connections")),
        connection_limit=int(_total(tally, "sse_connection_limit")),
        providers={name: _provider(tally, name) for name in tally.known.providers},
    )


def figures_between(before: Glance | None, after: Glance) -> Figures:
    """What moved from ``before`` to ``after``; without ``before`` there are no rates yet."""
    if before is None or after.at <= before.at:
        before = msgspec.structs.replace(after)
    seconds = after.at - before.at
    moved = _moved(before.first_chunks, after.first_chunks)
    return Figures(
        interval=seconds,
        requests=rate(before.requests, after.requests, seconds),
        errors=rate(before.errors, after.errors, seconds),
        chunks=rate(before.chunks, after.chunks, seconds),
        first_chunk_p50=quantile(0.50, after.bounds, moved),
        first_chunk_p99=quantile(0.99, after.bounds, moved),
        connections=after.connections,
        connection_limit=after.connection_limit,
        providers=tuple(
            _provider_figures(name, before.providers.get(name, ProviderGlance()), now, seconds)
            for name, now in after.providers.items()
        ),
    )


def quantile(q: float, bounds: Sequence[float], buckets: Sequence[int]) -> float | None:
    """The ``q``-quantile of a histogram, as Prometheus' ``histogram_quantile`` has it.

    Within a bucket, observations are taken to be spread evenly; above all bounds, it is the
    highest bound. None if nothing was observed.
    """
    rank = q * sum(buckets)
    if rank <= 0:
        return None
    below = 0
    for index, count in enumerate(buckets[: len(bounds)]):
        if count and below + count >= rank:
            start = bounds[index - 1] if index else 0.0
            return start + (bounds[index] - start) * (rank - below) / count
        below += count
    return bounds[-1] if bounds else None


def rate(before: float, after: float, seconds: float) -> float:
    """A counter that has fallen was begun again: all of it is new."""
    if seconds <= 0:
        return 0.0
    return (after - before if after >= before else after) / seconds


def _moved(before: Sequence[int], after: Sequence[int]) -> list[int]:
    if len(before) != len(after) or sum(after) < sum(before):
        return list(after)
    return [max(0, new - old) for old, new in zip(before, after, strict=True)]


def _provider_figures(
    name: str, before: ProviderGlance, after: ProviderGlance, seconds: float
) -> ProviderFigures:
    return ProviderFigures(
        name=name,
        requests=rate(before.requests, after.requests, seconds),
        errors=rate(before.errors, after.errors, seconds),
        idle=after.idle,
        active=after.active,
        breaker=after.breaker,
    )


def _provider(tally: Tally, name: str) -> ProviderGlance:
    calls, connections = _cells(tally, "sse_provider_requests_total"), "sse_provider_connections"
    mine = {status: value for (provider, status), value in calls.items() if provider == name}
    return ProviderGlance(
        requests=sum(mine.values()),
        errors=sum(value for status, value in mine.items() if status != "success"),
        idle=int(tally.value(connections, (name, "idle"))),
        active=int(tally.value(connections, (name, "active"))),
        breaker=STATES[int(tally.value("sse_circuit_breaker_state", (name,)))],
    )


def _total(tally: Tally, name: str) -> float:
    return sum(_cells(tally, name).values())


def _cells(tally: Tally, name: str) -> dict[tuple[str, ...], float]:
    series = tally.series[name]
    if not isinstance(series, Counter | Gauge):
        raise TypeError(f"{name} is a {series.metric.kind}")
    return series.cells


def _distribution(tally: Tally, name: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The bounds of a histogram, and what all its label sets have in each bucket."""
    series = tally.series[name]
    if not isinstance(series, Histogram):
        raise TypeError(f"{name} is a {series.metric.kind}")
    columns = zip(*(cell.buckets for cell in series.cells.values()), strict=True)
    return tuple(series.bounds), tuple(sum(column) for column in columns)
