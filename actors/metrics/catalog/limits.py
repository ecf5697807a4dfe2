"""Who asks for too much."""

from __future__ import annotations

from functools import partial

from .metric import Label, Metric

USER_TYPE = Label("user_type", "What the limit counts by.", ("ip", "user", "token"))

_metric = partial(Metric, domain="Rate Limiting", stage="admission")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_rate_limit_exceeded_total",
        kind="counter",
        help="Requests turned away by a rate limit",
        unit="requests",
        origin="seed 5.1",
        labels=(USER_TYPE,),
    ),
)
"""The seed's."""

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="sse_rate_limit_local_total",
        kind="counter",
        help="Requests limited by a process's own share, because the store did not count them",
        unit="requests",
        origin="extended",
    ),
)
"""Ours."""
