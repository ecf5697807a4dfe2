"""The tally counts what it is told, never more series than declared, and loses nothing."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from sluice.actors.metrics.catalog import ALL, Known
from sluice.actors.metrics.exposition import render
from sluice.actors.metrics.tally import Delta, Histogram, Tally, Update

KNOWN = Known(
    providers=("openai", "anthropic"),
    models=(("openai", "gpt-4"), ("anthropic", "claude-3")),
)
DURATION = "sse_request_duration_seconds"
LATENCY = "sse_provider_latency_seconds"


def families(tally: Tally) -> dict[str, Family]:
    exposition = render(tally, openmetrics=True).decode()
    return {family.name: family for family in parse(exposition)}  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", ALL)
def test_what_is_declared_reads_zero_from_the_start(name: str) -> None:
    samples = families(Tally(KNOWN))[name.removesuffix("_total")].samples
    assert samples
    assert {sample.value for sample in samples} == {0.0}


def test_a_provider_and_a_model_are_paired_as_configured() -> None:
    samples = families(Tally(KNOWN))["sse_requests"].samples
    pairs = {(sample.labels["provider"], sample.labels["model"]) for sample in samples}
    assert pairs == {("openai", "gpt-4"), ("anthropic", "claude-3")}


def test_what_is_configured_later_is_counted_as_itself_and_what_was_counted_stays() -> None:
    tally = Tally(KNOWN)
    tally.apply([("sse_requests_total", ("success", "openai", "gpt-4"), 2)])
    tally.learn(Known(providers=("cohere",), models=(("cohere", "command"),)))
    samples = families(tally)["sse_requests"].samples
    assert {sample.labels["provider"] for sample in samples} == {"openai", "anthropic", "cohere"}
    tally.apply([("sse_requests_total", ("success", "cohere", "command"), 1)])
    assert tally.value("sse_requests_total", ("success", "cohere", "command")) == 1
    assert tally.value("sse_requests_total", ("success", "openai", "gpt-4")) == 2


def test_a_counter_adds_a_gauge_replaces_a_histogram_observes() -> None:
    tally = Tally(KNOWN)
    for value in (3, 2):
        tally.apply(
            [
                ("sse_chunks_streamed_total", ("openai",), value),
                ("sse_active_connections", (), value),
                (LATENCY, ("openai",), value),
            ]
        )
    assert tally.value("sse_chunks_streamed_total", ("openai",)) == 5
    assert tally.value("sse_active_connections") == 2
    assert tally.value(LATENCY, ("openai",)) == 2


@pytest.mark.parametrize("name", ["sse_provider_latency_seconds", "sse_chunks_streamed_total"])
def test_a_label_value_nobody_declared_is_counted_as_other(name: str) -> None:
    tally = Tally(KNOWN)
    before = len(tally.series[name].cells)
    for number in range(100):
        tally.apply([(name, (f"client-text-{number}",), 1)])
    assert tally.value(name, ("other",)) == 100
    assert len(tally.series[name].cells) == before + 1


def test_only_the_unknown_label_of_several_becomes_other() -> None:
    tally = Tally(KNOWN)
    tally.apply([("sse_requests_total", ("success", "openai", "gpt-9"), 1)])
    assert tally.value("sse_requests_total", ("success", "openai", "other")) == 1


def test_known_values_in_a_new_combination_keep_their_names() -> None:
    tally = Tally(KNOWN)
    tally.apply([("sse_requests_total", ("success", "anthropic", "gpt-4"), 1)])
    assert tally.value("sse_requests_total", ("success", "anthropic", "gpt-4")) == 1


def test_the_wrong_number_of_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        Tally(KNOWN).apply([("sse_requests_total", ("success",), 1)])


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_a_counter_never_goes_down(value: float) -> None:
    with pytest.raises(ValueError, match="cannot change by"):
        Tally(KNOWN).apply([("sse_queue_backpressure_retries_total", (), value)])


def test_a_total_that_somebody_else_counts_is_taken_over_and_never_goes_down() -> None:
    tally = Tally(KNOWN)
    for total in (5, 7, 2):
        tally.raise_to("sluice_reports_lost_total", (), total)
    assert tally.value("sluice_reports_lost_total") == 9
    tally.drain()
    tally.raise_to("sluice_reports_lost_total", (), 3)
    assert tally.value("sluice_reports_lost_total") == 1
    with pytest.raises(TypeError, match="not a counter"):
        tally.raise_to("sse_active_connections", (), 1)


@pytest.mark.parametrize("value", [-0.5, math.nan])
def test_what_is_no_duration_is_observed_as_zero(value: float) -> None:
    tally = Tally(KNOWN)
    tally.apply([(DURATION, ("total",), value), (DURATION, ("total",), 1.0)])
    samples = families(tally)[DURATION].samples
    (total,) = (s for s in samples if s.name == f"{DURATION}_sum" and s.labels["stage"] == "total")
    assert total.value == 1.0
    assert tally.value(DURATION, ("total",)) == 2


@given(
    st.lists(
        st.one_of(
            st.floats(min_value=0, max_value=1e6),
            st.sampled_from(ALL[DURATION].buckets),
            st.just(math.inf),
        )
    )
)
def test_a_histogram_reads_as_the_reference_librarys(values: list[float]) -> None:
    registry = CollectorRegistry()
    reference = Reference("reference", "-", buckets=ALL[DURATION].buckets, registry=registry)
    tally = Tally(KNOWN, {DURATION: ALL[DURATION]})
    for value in values:
        reference.observe(value)
        tally.apply([(DURATION, ("total",), value)])
    ours = {
        (sample.name.removeprefix(DURATION), sample.labels.get("le")): sample.value
        for sample in families(tally)[DURATION].samples
        if sample.labels["stage"] == "total"
    }
    theirs = {
        (sample.name.removeprefix("reference"), sample.labels.get("le")): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert ours == theirs


counts: st.SearchStrategy[list[Update]] = st.lists(
    st.one_of(
        st.tuples(
            st.just("sse_chunks_streamed_total"),
            st.sampled_from([("openai",), ("anthropic",), ("?",)]),
            st.integers(1, 1000),
        ),
        st.tuples(
            st.just(LATENCY),
            st.sampled_from([("openai",), ("?",)]),
            # Dyadic, so that sums do not depend on their order.
            st.integers(0, 1000).map(lambda number: number / 8),
        ),
    )
)


@given(st.lists(counts, max_size=5))
def test_what_several_tallies_count_merges_to_what_one_would_have(
    parts: list[list[Update]],
) -> None:
    metrics = {name: ALL[name] for name in ("sse_chunks_streamed_total", LATENCY)}
    whole, host, worker = (Tally(KNOWN, metrics) for _ in range(3))
    for part in parts:
        whole.apply(part)
        worker.apply(part)
        host.merge(sent(worker.drain()))
    assert numbers(host) == numbers(whole)


def sent(delta: Delta) -> Delta:
    """The delta after a journey between two processes."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(delta), type=Delta)


def numbers(tally: Tally) -> dict[object, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families(tally).values()
        for sample in family.samples
    }


def test_a_drained_tally_begins_again_from_zero_but_keeps_its_gauges() -> None:
    tally = Tally(KNOWN)
    tally.apply(
        [
            ("sse_cache_hits_total", ("L1",), 1),
            (LATENCY, ("openai",), 1.5),
            ("sse_active_connections", (), 3),
        ]
    )
    first = tally.drain()
    assert first.counts == {"sse_cache_hits_total": [(("L1",), 1)]}
    assert first.histograms == {LATENCY: [(("openai",), [0, 0, 0, 1, 0, 0, 0, 0, 0], 1.5)]}
    assert tally.drain() == Delta({}, {})
    assert tally.value("sse_active_connections") == 3


def test_a_merge_is_not_shared_with_the_tally_it_came_from() -> None:
    host, worker = Tally(KNOWN), Tally(KNOWN)
    worker.apply([(LATENCY, ("openai",), 1.0)])
    delta = worker.drain()
    host.merge(delta)
    host.apply([(LATENCY, ("openai",), 1.0)])
    assert sum(delta.histograms[LATENCY][0][1]) == 1
    assert worker.value(LATENCY, ("openai",)) == 0


def test_a_delta_of_another_catalog_is_refused() -> None:
    with pytest.raises(KeyError):
        Tally(KNOWN).merge(Delta({"unknown_total": [((), 1.0)]}, {}))
    with pytest.raises(ValueError, match="not a histogram"):
        Tally(KNOWN).merge(Delta({}, {"sse_active_connections": [((), [1], 1.0)]}))


def test_the_cells_of_a_histogram_have_a_bucket_above_every_bound() -> None:
    series = Tally(KNOWN).series[DURATION]
    assert isinstance(series, Histogram)
    assert {len(cell.buckets) for cell in series.cells.values()} == {len(series.bounds) + 1}
