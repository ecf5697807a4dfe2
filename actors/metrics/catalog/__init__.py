"""Every metric of the product, declared once: the seed's 19, and the extended ones apart.

The metrics actor, the tests, the dashboards, the rules and the documentation are made from
these modules, one a domain; no other place names a type, a label or a bucket.

*Names.* The 19 of `CATALOG` are the seed's, sections 1-9, to the letter, and stay so
(``decision 1``). An extended metric of one of the seed's nine domains is called ``sse_...``
as well; one about the machinery of this program is called ``sluice_...``; what every process
has keeps the names Prometheus gives it, ``process_...``.

*Labels.* Each label says which values it may take; a value it does not know becomes `OTHER`
(``decision 7``), so the number of series is bounded by these modules and the configuration.
"""

from __future__ import annotations

from . import (
    caching,
    connections,
    errors,
    limits,
    process,
    providers,
    queue,
    requests,
    resilience,
    runtime,
    store,
    streams,
)
from .metric import OTHER, Domain, Kind, Known, Metric
from .requests import TOTAL
from .runtime import ACTOR

__all__ = [
    "ACTOR",
    "ALL",
    "CATALOG",
    "EXTENDED",
    "OTHER",
    "TOTAL",
    "Domain",
    "Kind",
    "Known",
    "Metric",
]


def _names(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


CATALOG: dict[str, Metric] = _names(
    *requests.SEED,
    *connections.SEED,
    *caching.SEED,
    *resilience.SEED,
    *limits.SEED,
    *errors.SEED,
    *providers.SEED,
    *streams.SEED,
    *queue.SEED,
)
"""The seed's 19, in its order."""

EXTENDED: dict[str, Metric] = _names(
    *requests.EXTENDED,
    *connections.EXTENDED,
    *resilience.RESCUES,
    *streams.FRAMES,
    *limits.EXTENDED,
    *streams.CLIENTS,
    *resilience.CALLS,
    *providers.EXTENDED,
    *runtime.EXTENDED,
    *store.EXTENDED,
    *process.EXTENDED,
)
"""What we add; no label set of the 19 is changed by it (``decision 1``)."""

ALL: dict[str, Metric] = CATALOG | EXTENDED
"""In the order in which they are told to a scraper."""
