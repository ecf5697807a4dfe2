"""What went wrong before a client's eyes."""

from __future__ import annotations

from functools import partial
from typing import get_args

from sluice.actors.failures import ErrorType

from .labels import STAGE
from .metric import Label, Metric

ERROR_TYPE = Label("error_type", "The class of the failure.", get_args(ErrorType))

_metric = partial(Metric, domain="Error Tracking", stage="any")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_errors_total",
        kind="counter",
        help="Failures that a client saw; cache_error: faults of the store, which none sees",
        unit="errors",
        origin="seed 6.1",
        labels=(ERROR_TYPE, STAGE),
    ),
)
