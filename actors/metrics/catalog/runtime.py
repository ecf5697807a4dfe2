"""Actors, processes' links and the event loop: what is no request's."""

from __future__ import annotations

from functools import partial

from sluice.engine import ASK_BOUNDS

from .metric import Label, Metric

ACTOR = Label(
    "actor",
    "The kind of actor; `link` is what two processes of a replica have between them.",
    (
        "connections",
        "control",
        "drain",
        "edge",
        "link",
        "metrics",
        "provider",
        "lease",
        "shares",
        "store",
        "streams",
        "worker",
    ),
)
VERSION = Label("version", "The release that runs.", configured="version")

_metric = partial(Metric, domain="Service Runtime", stage="any", origin="extended")

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="sluice_mailbox_depth",
        kind="gauge",
        help="Messages waiting in the mailboxes of a kind of actor",
        unit="messages",
        labels=(ACTOR,),
    ),
    _metric(
        name="sluice_mailbox_overflow_total",
        kind="counter",
        help="Messages a full mailbox refused or dropped",
        unit="messages",
        labels=(ACTOR,),
    ),
    _metric(
        name="sluice_reports_lost_total",
        kind="counter",
        help="Requests that ended uncounted, because nobody counted for too long",
        unit="requests",
    ),
    _metric(
        name="sluice_streams_lost_total",
        kind="counter",
        help="Streams that a worker took with it when it died; no other metric counts them",
        unit="requests",
    ),
    _metric(
        name="sluice_actor_restarts_total",
        kind="counter",
        help="Restarts of a kind of actor",
        unit="restarts",
        labels=(ACTOR,),
    ),
    _metric(
        name="sluice_dead_letters_total",
        kind="counter",
        help="Messages that a kind of actor was told and never handled",
        unit="messages",
        labels=(ACTOR,),
    ),
    _metric(
        name="sluice_ask_latency_seconds",
        kind="histogram",
        help="Time from asking a kind of actor to its reply, of one ask in 16",
        unit="seconds",
        labels=(ACTOR,),
        buckets=ASK_BOUNDS,
    ),
    _metric(
        name="sluice_ask_timeouts_total",
        kind="counter",
        help="Asks of a kind of actor whose deadline passed",
        unit="messages",
        labels=(ACTOR,),
    ),
    _metric(
        name="sluice_foreign_counts_total",
        kind="counter",
        help="Counts of workers of another release that this one has no metric for",
        unit="messages",
    ),
    _metric(
        name="sluice_loop_delay_seconds",
        kind="histogram",
        help="How much later than due a task of the event loop ran",
        unit="seconds",
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    ),
    _metric(
        name="sluice_build_info",
        kind="gauge",
        help="Always 1; the label says which release runs",
        unit="info",
        labels=(VERSION,),
    ),
)
