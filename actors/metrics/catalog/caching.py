"""What the cache finds."""

from __future__ import annotations

from functools import partial

from .metric import Label, Metric

TIER = Label("tier", "L1 in memory, L2 in the store.", ("L1", "L2"))

_metric = partial(Metric, domain="Caching Efficiency", stage="cache_lookup")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_cache_hits_total",
        kind="counter",
        help="Cache lookups that found an answer",
        unit="lookups",
        origin="seed 3.1",
        labels=(TIER,),
    ),
    _metric(
        name="sse_cache_misses_total",
        kind="counter",
        help="Cache lookups that found nothing",
        unit="lookups",
        origin="seed 3.2",
        labels=(TIER,),
    ),
)
