"""The store that processes and replicas share."""

from __future__ import annotations

from functools import partial

from .metric import Label, Metric

STORE_OUTCOME = Label(
    "outcome",
    "Answered; refused: with an error; lost: nobody knows; passed by: not even asked.",
    ("answered", "refused", "lost", "passed_by"),
)

_metric = partial(Metric, domain="Service Runtime", stage="any", origin="extended")

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="sluice_store_operations_total",
        kind="counter",
        help="Operations wanted of the store, by what became of them",
        unit="operations",
        labels=(STORE_OUTCOME,),
    ),
    _metric(
        name="sluice_store_latency_seconds",
        kind="histogram",
        help="Time from asking the store to its answer, of what it answered",
        unit="seconds",
        buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    ),
    _metric(
        name="sluice_store_state",
        kind="gauge",
        help="The store: 0 used, 1 passed by or full, in part or in whole",
        unit="state",
        states=("USABLE", "PASSED_BY"),
    ),
    _metric(
        name="sluice_store_connects_total",
        kind="counter",
        help="Connections made to servers of the store that worked",
        unit="connections",
    ),
)
