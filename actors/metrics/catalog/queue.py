"""Requests that wait for a slot."""

from __future__ import annotations

from functools import partial

from .metric import OTHER, Label, Metric

QUEUE_TYPE = Label("queue_type", "The queue's backend.", ("redis", "kafka"))
QUEUE_NAME = Label("queue_name", "The queue.", configured="queue")
REASON = Label("reason", "Why.", ("full", "timeout", "unavailable", OTHER))

_metric = partial(Metric, domain="Queue Management", stage="admission")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_queue_produce_attempts_total",
        kind="counter",
        help="Attempts to put a request into the queue",
        unit="requests",
        origin="seed 9.1",
        labels=(QUEUE_TYPE,),
    ),
    _metric(
        name="sse_queue_produce_success_total",
        kind="counter",
        help="Requests put into the queue",
        unit="requests",
        origin="seed 9.2",
        labels=(QUEUE_TYPE,),
    ),
    _metric(
        name="sse_queue_produce_failures_total",
        kind="counter",
        help="Requests that could not be put into the queue",
        unit="requests",
        origin="seed 9.3",
        labels=(QUEUE_TYPE, REASON),
    ),
    _metric(
        name="sse_queue_depth",
        kind="gauge",
        help="Requests waiting in the queue",
        unit="requests",
        origin="seed 9.4",
        labels=(QUEUE_NAME,),
    ),
    _metric(
        name="sse_queue_backpressure_retries_total",
        kind="counter",
        help="Retries because the queue pushed back",
        unit="retries",
        origin="seed 9.5",
    ),
)
