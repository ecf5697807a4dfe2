"""Circuit breakers, retries, fallbacks, rescues."""

from __future__ import annotations

from functools import partial
from typing import get_args

from sluice.actors.metrics.reports import RescueResult
from sluice.actors.providers.attempts import REASONS

from .labels import MODEL, PROVIDER
from .metric import Label, Metric

RESCUE_RESULT = Label(
    "result",
    "Went on by a prefill, or by a restart; lacked only its end; other answers differed; "
    "nobody could; was not tried.",
    get_args(RescueResult),
)
ATTEMPT_REASON = Label("reason", "Why the call before it failed.", REASONS)

_metric = partial(Metric, domain="Resilience Patterns")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_circuit_breaker_state",
        kind="gauge",
        help="Circuit breaker state: 0 closed, 1 half open, 2 open",
        unit="state",
        stage="provider_call",
        origin="seed 4.1",
        labels=(PROVIDER,),
        states=("CLOSED", "HALF_OPEN", "OPEN"),
    ),
    _metric(
        name="sse_circuit_breaker_failures_total",
        kind="counter",
        help="Failures the circuit breaker counted",
        unit="failures",
        stage="provider_call",
        origin="seed 4.2",
        labels=(PROVIDER,),
    ),
)
"""The seed's."""

RESCUES: tuple[Metric, ...] = (
    _metric(
        name="sse_rescues_total",
        kind="counter",
        help="Streams of a provider that broke off after their first byte, by how that ended",
        unit="requests",
        stage="streaming",
        origin="extended",
        labels=(PROVIDER, RESCUE_RESULT),
    ),
)
"""Ours, of streams that broke off."""

CALLS: tuple[Metric, ...] = (
    _metric(
        name="sse_retries_total",
        kind="counter",
        help="Calls of a provider that were made again before the client had a first byte",
        unit="retries",
        stage="provider_call",
        origin="extended",
        labels=(PROVIDER, ATTEMPT_REASON),
    ),
    _metric(
        name="sse_fallbacks_total",
        kind="counter",
        help="Times that a fallback was turned to because this provider had failed",
        unit="requests",
        stage="provider_call",
        origin="extended",
        labels=(PROVIDER, ATTEMPT_REASON),
    ),
    _metric(
        name="sse_circuit_breaker_model_state",
        kind="gauge",
        help="State of the circuit breaker that guards a model: its provider's, or its own",
        unit="state",
        stage="provider_call",
        origin="extended",
        labels=(PROVIDER, MODEL),
        states=("CLOSED", "HALF_OPEN", "OPEN"),
    ),
    _metric(
        name="sse_circuit_breaker_refused_total",
        kind="counter",
        help="Calls that were not made because a circuit breaker was not closed",
        unit="requests",
        stage="provider_call",
        origin="extended",
        labels=(PROVIDER,),
    ),
)
"""Ours, of calls that failed or were not made."""
