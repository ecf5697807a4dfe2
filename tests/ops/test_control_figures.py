"""Rates and quantiles out of two looks at the counters."""

from __future__ import annotations

import pytest

from sluice.actors.metrics.catalog import Known
from sluice.actors.metrics.tally import Tally
from sluice.ops.control.figures import (
    Glance,
    ProviderGlance,
    figures_between,
    glance_at,
    quantile,
)


def test_the_first_look_has_no_rates_but_what_is_now() -> None:
    figures = figures_between(None, Glance(at=5.0, requests=9.0, connections=3))
    assert (figures.interval, figures.requests, figures.connections) == (0.0, 0.0, 3)
    assert figures.first_chunk_p50 is None


def test_rates_are_what_moved_by_the_seconds_between_two_looks() -> None:
    before = Glance(at=10.0, requests=100.0, errors=1.0, chunks=50.0)
    figures = figures_between(before, Glance(at=12.0, requests=110.0, errors=1.0, chunks=250.0))
    assert (figures.interval, figures.requests, figures.errors) == (2.0, 5.0, 0.0)
    assert figures.chunks == 100.0


def test_a_counter_that_began_again_never_gives_a_negative_rate() -> None:
    figures = figures_between(Glance(at=1.0, requests=100.0), Glance(at=2.0, requests=4.0))
    assert figures.requests == 4.0


def test_latencies_are_those_of_the_interval_alone() -> None:
    before = Glance(at=1.0, bounds=(1.0, 2.0), first_chunks=(100, 0, 0))
    figures = figures_between(before, Glance(at=2.0, bounds=(1.0, 2.0), first_chunks=(100, 10, 0)))
    assert figures.first_chunk_p50 == pytest.approx(1.5)
    assert figures.first_chunk_p99 == pytest.approx(1.99)


def test_a_provider_that_is_new_has_moved_from_zero() -> None:
    after = Glance(at=2.0, providers={"one": ProviderGlance(4.0, 2.0, 7, 8)})
    (one,) = figures_between(Glance(at=0.0), after).providers
    assert (one.name, one.requests, one.errors, one.idle, one.active) == ("one", 2.0, 1.0, 7, 8)


@pytest.mark.parametrize(
    ("buckets", "q", "expected"),
    [
        ([0, 0, 0], 0.5, None),
        ([4, 0, 0], 0.5, 0.5),
        ([1, 1, 0], 0.99, 1.98),
        ([0, 0, 3], 0.5, 2.0),
        ([], 0.5, None),
    ],
)
def test_quantiles_are_prometheus_own(buckets: list[int], q: float, expected: float | None) -> None:
    assert quantile(q, (1.0, 2.0), buckets) == pytest.approx(expected)


def test_a_glance_adds_up_the_series_of_the_tally() -> None:
    tally = Tally(Known(("one",), (("one", "m"),)))
    tally.apply(
        [
            ("sse_provider_requests_total", ("one", "success"), 3.0),
            ("sse_provider_connections", ("one", "idle"), 2.0),
            ("sse_time_to_first_chunk_seconds", ("one",), 0.01),
            ("sse_connection_limit", (), 100.0),
        ]
    )
    glance = glance_at(tally, 7.0)
    assert glance.at == 7.0
    assert glance.providers == {"one": ProviderGlance(3.0, 0.0, 2, 0)}
    assert sum(glance.first_chunks) == 1
    assert glance.connection_limit == 100
