"""The catalog is the seed's, to the letter; what is added stands apart."""

import re
from collections import Counter
from typing import get_args

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sluice.actors.metrics.catalog import ALL, CATALOG, EXTENDED, Domain, Known, Metric
from sluice.actors.metrics.exposition import render
from sluice.actors.metrics.tally import Tally
from sluice.actors.settings import ModelSettings, ProviderSettings, Routing

# Sections 1 to 9 of the seed, word for word: name, type, labels, buckets without +Inf.
SEED: list[tuple[str, str, str, list[str], list[float]]] = [
    ("1.1", "sse_requests_total", "Counter", ["status", "provider", "model"], []),
    (
        "1.2",
        "sse_request_duration_seconds",
        "Histogram",
        ["stage"],
        [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
    ),
    (
        "1.3",
        "sse_stage_duration_seconds",
        "Histogram",
        ["stage", "substage"],
        [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0],
    ),
    ("2.1", "sse_active_connections", "Gauge", [], []),
    ("3.1", "sse_cache_hits_total", "Counter", ["tier"], []),
    ("3.2", "sse_cache_misses_total", "Counter", ["tier"], []),
    ("4.1", "sse_circuit_breaker_state", "Gauge", ["provider"], []),
    ("4.2", "sse_circuit_breaker_failures_total", "Counter", ["provider"], []),
    ("5.1", "sse_rate_limit_exceeded_total", "Counter", ["user_type"], []),
    ("6.1", "sse_errors_total", "Counter", ["error_type", "stage"], []),
    ("7.1", "sse_provider_requests_total", "Counter", ["provider", "status"], []),
    (
        "7.2",
        "sse_provider_latency_seconds",
        "Histogram",
        ["provider"],
        [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0],
    ),
    ("8.1", "sse_chunks_streamed_total", "Counter", ["provider"], []),
    (
        "8.2",
        "sse_stream_duration_seconds",
        "Histogram",
        ["provider"],
        [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    ),
    ("9.1", "sse_queue_produce_attempts_total", "Counter", ["queue_type"], []),
    ("9.2", "sse_queue_produce_success_total", "Counter", ["queue_type"], []),
    ("9.3", "sse_queue_produce_failures_total", "Counter", ["queue_type", "reason"], []),
    ("9.4", "sse_queue_depth", "Gauge", ["queue_name"], []),
    ("9.5", "sse_queue_backpressure_retries_total", "Counter", [], []),
]

# The seed's overview: nine domains, 19 metrics (decision 1).
DOMAINS = {
    "Request Performance": 3,
    "Connection Management": 1,
    "Caching Efficiency": 2,
    "Resilience Patterns": 2,
    "Rate Limiting": 1,
    "Error Tracking": 1,
    "Provider Integration": 2,
    "Stream Quality": 2,
    "Queue Management": 5,
}

# The values the seed names; those of the taxonomy of 6.1 and of decision 2 are closed lists.
VALUES = {
    ("sse_requests_total", "status"): {"success", "failure", "timeout"},
    ("sse_provider_requests_total", "status"): {"success", "failure", "timeout"},
    ("sse_request_duration_seconds", "stage"): {
        "validation",
        "cache_lookup",
        "provider_call",
        "streaming",
        "total",
    },
    ("sse_cache_hits_total", "tier"): {"L1", "L2"},
    ("sse_cache_misses_total", "tier"): {"L1", "L2"},
    ("sse_rate_limit_exceeded_total", "user_type"): {"ip", "user", "token"},
    ("sse_errors_total", "error_type"): {
        "timeout_error",
        "connection_pool_exhausted",
        "validation_error",
        "provider_error",
        "cache_error",
        "serialization_error",
    },
    ("sse_queue_produce_attempts_total", "queue_type"): {"redis", "kafka"},
    ("sse_queue_produce_success_total", "queue_type"): {"redis", "kafka"},
    ("sse_queue_produce_failures_total", "queue_type"): {"redis", "kafka"},
}

KNOWN = Known(
    providers=("openai", "anthropic"),
    models=(("openai", "gpt-4"), ("anthropic", "claude-3")),
    version="1.2.3",
)


def test_the_catalog_is_the_seeds_table() -> None:
    declared = [
        (
            metric.origin.removeprefix("seed "),
            metric.name,
            metric.kind.capitalize(),
            list(metric.label_names),
            list(metric.buckets),
        )
        for metric in CATALOG.values()
    ]
    assert declared == SEED


def test_the_domains_are_the_seeds_nine_with_its_counts() -> None:
    assert Counter(metric.domain for metric in CATALOG.values()) == DOMAINS


@pytest.mark.parametrize(("name", "label"), VALUES)
def test_labels_take_the_values_the_seed_names(name: str, label: str) -> None:
    (declared,) = (each for each in CATALOG[name].labels if each.name == label)
    assert set(declared.values) == VALUES[name, label]


def test_the_state_of_a_breaker_counts_from_closed_to_open() -> None:
    states = CATALOG["sse_circuit_breaker_state"].states
    assert states == ("CLOSED", "HALF_OPEN", "OPEN")


def test_the_extended_metrics_stand_apart() -> None:
    assert not CATALOG.keys() & EXTENDED.keys()
    assert CATALOG | EXTENDED == ALL


def test_time_to_first_chunk_has_the_buckets_of_request_duration() -> None:
    metric = EXTENDED["sse_time_to_first_chunk_seconds"]
    assert metric.buckets == CATALOG["sse_request_duration_seconds"].buckets
    assert metric.label_names == ("provider",)


@pytest.mark.parametrize("metric", EXTENDED.values(), ids=lambda metric: metric.name)
def test_the_prefix_of_an_extended_metric_tells_its_domain(metric: Metric) -> None:
    ours = metric.domain == "Service Runtime"
    assert metric.name.startswith(("sluice_", "process_") if ours else "sse_")


@pytest.mark.parametrize("metric", ALL.values(), ids=lambda metric: metric.name)
def test_every_metric_says_what_readers_and_scrapers_need(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert metric.help
    assert metric.domain in get_args(Domain)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert all(label.help and (label.values or label.configured) for label in metric.labels)
    if metric.kind == "histogram":
        assert metric.name.endswith(f"_{metric.unit}")


@pytest.mark.parametrize("metric", ALL.values(), ids=lambda metric: metric.name)
def test_the_pairs_of_a_metric_are_of_declared_values(metric: Metric) -> None:
    for pair in metric.pairs:
        for value, label in zip(pair, metric.labels, strict=True):
            assert value in label.values


def test_known_values_come_from_the_routing() -> None:
    routing = Routing(
        providers={"openai": ProviderSettings("openai", "http://127.0.0.1")},
        models={"sim-*": ModelSettings("sim-*", "openai")},
    )
    known = Known.of(routing, version="1.0")
    assert known.providers == ("openai",)
    assert known.models == (("openai", "sim-*"),)
    assert known.version == "1.0"


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_the_exposition_has_the_seeds_names_types_labels_and_buckets(openmetrics: bool) -> None:
    parse = parse_openmetrics if openmetrics else parse_text
    exposition = render(Tally(KNOWN), openmetrics=openmetrics).decode()
    families = {family.name: family for family in parse(exposition)}
    for _, name, kind, labels, buckets in SEED:
        family = families.pop(name.removesuffix("_total"))
        assert family.type == kind.lower()
        seen = {
            (sample.name, tuple(sorted(sample.labels.keys() - {"le"}))) for sample in family.samples
        }
        if kind == "Histogram":
            suffixes = {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
            bounds = {s.labels["le"] for s in family.samples if s.name == f"{name}_bucket"}
            assert {float(bound) for bound in bounds} == {*buckets, float("inf")}
        else:
            suffixes = {name}
        assert seen == {(suffix, tuple(sorted(labels))) for suffix in suffixes}
    assert families.keys() == {name.removesuffix("_total") for name in EXTENDED}


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_the_exposition_has_no_created_series(openmetrics: bool) -> None:
    assert b"_created" not in render(Tally(KNOWN), openmetrics=openmetrics)
