"""What a request takes."""

from __future__ import annotations

from functools import partial

from .labels import MODEL, PROVIDER, STAGE, STATUS
from .metric import Label, Metric

TOTAL = "total"
"""The value of ``stage`` for a request's whole way (``decision 2``)."""
REQUEST_STAGE = Label(
    "stage",
    "The part of the request's way; `total` is the whole of it.",
    ("validation", "cache_lookup", "provider_call", "streaming", TOTAL),
)
SUBSTAGE = Label(
    "substage",
    "One operation within the stage.",
    (
        "validation",
        "limit",
        "slot",
        "L1_lookup",
        "L2_lookup",
        "first_content",
        "serialization",
    ),
)

REQUEST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_metric = partial(Metric, domain="Request Performance", stage="any")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_requests_total",
        kind="counter",
        help="Total streaming requests processed",
        unit="requests",
        origin="seed 1.1",
        labels=(STATUS, PROVIDER, MODEL),
    ),
    _metric(
        name="sse_request_duration_seconds",
        kind="histogram",
        help="Request processing duration by stage; total runs from arrival to the last byte",
        unit="seconds",
        origin="seed 1.2",
        labels=(REQUEST_STAGE,),
        buckets=REQUEST_BUCKETS,
    ),
    _metric(
        name="sse_stage_duration_seconds",
        kind="histogram",
        help="Duration of single operations within a stage",
        unit="seconds",
        origin="seed 1.3",
        labels=(STAGE, SUBSTAGE),
        buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
        pairs=(
            ("validation", "validation"),
            ("admission", "limit"),
            ("admission", "slot"),
            ("cache_lookup", "L1_lookup"),
            ("cache_lookup", "L2_lookup"),
            ("provider_call", "first_content"),
            ("streaming", "serialization"),
        ),
    ),
)
"""The seed's."""

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="sse_time_to_first_chunk_seconds",
        kind="histogram",
        help="Time from a streamed request's arrival to its first chunk",
        unit="seconds",
        origin="decision 3",
        labels=(PROVIDER,),
        buckets=REQUEST_BUCKETS,
    ),
)
"""Ours."""
