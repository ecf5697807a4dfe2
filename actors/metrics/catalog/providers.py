"""Calls of providers, and the connections to them."""

from __future__ import annotations

from functools import partial

from .labels import PROVIDER, STATUS
from .metric import Label, Metric

POOL_STATE = Label("state", "In use by a request, or kept for the next.", ("active", "idle"))

_metric = partial(Metric, domain="Provider Integration", stage="provider_call")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_provider_requests_total",
        kind="counter",
        help="Calls of a provider, those that were retried or replaced included",
        unit="requests",
        origin="seed 7.1",
        labels=(PROVIDER, STATUS),
    ),
    _metric(
        name="sse_provider_latency_seconds",
        kind="histogram",
        help="Time from sending the request to a provider to its first content",
        unit="seconds",
        origin="seed 7.2",
        labels=(PROVIDER,),
        buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    ),
)
"""The seed's."""

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="sse_provider_connections",
        kind="gauge",
        help="Open connections to a provider",
        unit="connections",
        origin="extended",
        labels=(PROVIDER, POOL_STATE),
    ),
    _metric(
        name="sse_provider_connections_opened_total",
        kind="counter",
        help="Connections opened to a provider",
        unit="connections",
        origin="extended",
        labels=(PROVIDER,),
    ),
)
"""Ours."""
