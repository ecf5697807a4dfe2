"""Labels that metrics of several domains have."""

from __future__ import annotations

from typing import get_args

from sluice.actors.failures import Stage
from sluice.actors.metrics.reports import Outcome

from .metric import Label

STATUS = Label("status", "How it ended.", get_args(Outcome))
PROVIDER = Label("provider", "What served it, or was asked first.", configured="provider")
MODEL = Label("model", "The model, as configured.", configured="model")
STAGE = Label("stage", "The part of the request's way.", get_args(Stage))
