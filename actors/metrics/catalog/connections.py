"""Streaming connections, and how many there may be."""

from __future__ import annotations

from functools import partial

from .metric import Metric

_metric = partial(Metric, domain="Connection Management", stage="admission")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_active_connections",
        kind="gauge",
        help="Current active streaming connections",
        unit="connections",
        origin="seed 2.1",
    ),
)
"""The seed's."""

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="sse_connection_limit",
        kind="gauge",
        help="Streaming connections this replica takes at most",
        unit="connections",
        origin="decision 12",
    ),
)
"""Ours."""
