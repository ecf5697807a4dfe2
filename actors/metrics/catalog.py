"""Every metric of the product, declared once: the seed's 19, and the extended ones apart.

The metrics actor, the tests, the dashboards, the rules and the documentation are made from
this module; no other place names a type, a label or a bucket.

*Names.* The 19 of `CATALOG` are the seed's, sections 1-9, to the letter, and stay so
(``decision 1``). An extended metric of one of the seed's nine domains is called ``sse_...``
as well; one about the machinery of this program is called ``sluice_...``; what every process
has keeps the names Prometheus gives it, ``process_...``.

*Labels.* Each label says which values it may take; a value it does not know becomes `OTHER`
(``decision 7``), so the number of series is bounded by this module and the configuration.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from sluice.actors.failures import ErrorType
from sluice.actors.failures import Stage as FailureStage
from sluice.actors.providers.attempts import REASONS
from sluice.actors.settings import Routing
from sluice.engine import ASK_BOUNDS

from .reports import Outcome, RescueResult

OTHER = "other"
"""What a label value becomes that neither this module nor the configuration knows."""

Kind = Literal["counter", "gauge", "histogram"]
Domain = Literal[
    "Request Performance",
    "Connection Management",
    "Caching Efficiency",
    "Resilience Patterns",
    "Rate Limiting",
    "Error Tracking",
    "Provider Integration",
    "Stream Quality",
    "Queue Management",
    "Service Runtime",
]
"""The nine domains of the seed's overview, and ours for what is no request's."""

Stage = Literal["any", "validation", "admission", "cache_lookup", "provider_call", "streaming"]
"""The part of a request's way a metric watches; ``any``: the whole way, or none of it."""

Unit = Literal[
    "seconds",
    "bytes",
    "requests",
    "connections",
    "lookups",
    "state",
    "failures",
    "errors",
    "chunks",
    "clients",
    "messages",
    "retries",
    "restarts",
    "descriptors",
    "operations",
    "info",
]

Source = Literal["provider", "model", "queue", "version"]
"""What of the configuration gives a label its values: a field of `Known`."""


class Label(msgspec.Struct, frozen=True):
    """One label: what it means, and its values, fixed here or taken from the configuration."""

    name: str
    help: str
    values: tuple[str, ...] = ()
    configured: Source | None = None


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as a scraper, a dashboard and a reader must know it."""

    name: str
    kind: Kind
    help: str
    unit: Unit
    """Of the value; of a histogram's observations."""
    domain: Domain
    stage: Stage
    origin: str
    """Where it comes from: ``seed 1.1`` for the 19, ``decision 3`` or ``extended``."""
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    """A histogram's upper bounds without ``+Inf``, which it always has."""
    pairs: tuple[tuple[str, ...], ...] = ()
    """The combinations of label values that occur, where not all of them do."""
    states: tuple[str, ...] = ()
    """A state gauge's states: the value is the index."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels, in the order in which values are given."""
        return tuple(label.name for label in self.labels)


class Known(msgspec.Struct, frozen=True):
    """What the configuration adds to the label values this module knows."""

    providers: tuple[str, ...] = ()
    models: tuple[tuple[str, str], ...] = ()
    """(provider, model) as configured; a model's name may be a pattern (``sim-*``)."""
    queues: tuple[str, ...] = ("overflow",)
    version: str = "unknown"

    @classmethod
    def of(cls, routing: Routing, version: str = "unknown") -> Known:
        """The providers and models of ``routing``."""
        models = ((model.provider, model.name) for model in routing.models.values())
        return cls(tuple(routing.providers), tuple(models), version=version)

    def values(self, label: Label) -> tuple[str, ...]:
        """Every value ``label`` may take, `OTHER` apart."""
        match label.configured:
            case None:
                return label.values
            case "provider":
                return self.providers
            case "model":
                return tuple(dict.fromkeys(model for _, model in self.models))
            case "queue":
                return self.queues
            case "version":
                return (self.version,)


STATUS = Label("status", "How it ended.", get_args(Outcome))
PROVIDER = Label("provider", "What served it, or was asked first.", configured="provider")
MODEL = Label("model", "The model, as configured.", configured="model")
TOTAL = "total"
"""The value of ``stage`` for a request's whole way (``decision 2``)."""
REQUEST_STAGE = Label(
    "stage",
    "The part of the request's way; `total` is the whole of it.",
    ("validation", "cache_lookup", "provider_call", "streaming", TOTAL),
)
STAGE = Label("stage", "The part of the request's way.", get_args(FailureStage))
SUBSTAGE = Label(
    "substage",
    "One operation within the stage.",
    (
        "validation",
        "limit",
        "slot",
        "L1_lookup",
        "L2_lookup",
        "first_content",
        "serialization",
    ),
)
TIER = Label("tier", "L1 in memory, L2 in the store.", ("L1", "L2"))
USER_TYPE = Label("user_type", "What the limit counts by.", ("ip", "user", "token"))
ERROR_TYPE = Label("error_type", "The class of the failure.", get_args(ErrorType))
QUEUE_TYPE = Label("queue_type", "The queue's backend.", ("redis", "kafka"))
QUEUE_NAME = Label("queue_name", "The queue.", configured="queue")
REASON = Label("reason", "Why.", ("full", "timeout", "unavailable", OTHER))
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
STORE_OUTCOME = Label(
    "outcome",
    "Answered; refused: with an error; lost: nobody knows; passed by: not even asked.",
    ("answered", "refused", "lost", "passed_by"),
)
VERSION = Label("version", "The release that runs.", configured="version")
RESCUE_RESULT = Label(
    "result",
    "Went on by a prefill, or by a restart; lacked only its end; other answers differed; "
    "nobody could; was not tried.",
    get_args(RescueResult),
)
LEAVING = Label("reason", "Left: it closed. Stalled: it took no byte.", ("left", "stalled"))
WHEN = Label("when", "How far its answer was.", ("before_first_chunk", "streaming"))
ATTEMPT_REASON = Label("reason", "Why the call before it failed.", REASONS)
POOL_STATE = Label("state", "In use by a request, or kept for the next.", ("active", "idle"))

REQUEST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _names(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


CATALOG: dict[str, Metric] = _names(
    (
        Metric(
            name="sse_requests_total",
            kind="counter",
            help="Total streaming requests processed",
            unit="requests",
            domain="Request Performance",
            stage="any",
            origin="seed 1.1",
            labels=(STATUS, PROVIDER, MODEL),
        ),
        Metric(
            name="sse_request_duration_seconds",
            kind="histogram",
            help="Request processing duration by stage; total runs from arrival to the last byte",
            unit="seconds",
            domain="Request Performance",
            stage="any",
            origin="seed 1.2",
            labels=(REQUEST_STAGE,),
            buckets=REQUEST_BUCKETS,
        ),
        Metric(
            name="sse_stage_duration_seconds",
            kind="histogram",
            help="Duration of single operations within a stage",
            unit="seconds",
            domain="Request Performance",
            stage="any",
            origin="seed 1.3",
            labels=(STAGE, SUBSTAGE),
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
            pairs=(
                ("validation", "validation"),
                ("admission", "limit"),
                ("admission", "slot"),
                ("cache_lookup", "L1_lookup"),
                ("cache_lookup", "L2_lookup"),
                ("provider_call", "first_content"),
                ("streaming", "serialization"),
            ),
        ),
        Metric(
            name="sse_active_connections",
            kind="gauge",
            help="Current active streaming connections",
            unit="connections",
            domain="Connection Management",
            stage="admission",
            origin="seed 2.1",
        ),
        Metric(
            name="sse_cache_hits_total",
            kind="counter",
            help="Cache lookups that found an answer",
            unit="lookups",
            domain="Caching Efficiency",
            stage="cache_lookup",
            origin="seed 3.1",
            labels=(TIER,),
        ),
        Metric(
            name="sse_cache_misses_total",
            kind="counter",
            help="Cache lookups that found nothing",
            unit="lookups",
            domain="Caching Efficiency",
            stage="cache_lookup",
            origin="seed 3.2",
            labels=(TIER,),
        ),
        Metric(
            name="sse_circuit_breaker_state",
            kind="gauge",
            help="Circuit breaker state: 0 closed, 1 half open, 2 open",
            unit="state",
            domain="Resilience Patterns",
            stage="provider_call",
            origin="seed 4.1",
            labels=(PROVIDER,),
            states=("CLOSED", "HALF_OPEN", "OPEN"),
        ),
        Metric(
            name="sse_circuit_breaker_failures_total",
            kind="counter",
            help="Failures the circuit breaker counted",
            unit="failures",
            domain="Resilience Patterns",
            stage="provider_call",
            origin="seed 4.2",
            labels=(PROVIDER,),
        ),
        Metric(
            name="sse_rate_limit_exceeded_total",
            kind="counter",
            help="Requests turned away by a rate limit",
            unit="requests",
            domain="Rate Limiting",
            stage="admission",
            origin="seed 5.1",
            labels=(USER_TYPE,),
        ),
        Metric(
            name="sse_errors_total",
            kind="counter",
            help="Failures that a client saw; cache_error: faults of the store, which none sees",
            unit="errors",
            domain="Error Tracking",
            stage="any",
            origin="seed 6.1",
            labels=(ERROR_TYPE, STAGE),
        ),
        Metric(
            name="sse_provider_requests_total",
            kind="counter",
            help="Calls of a provider, those that were retried or replaced included",
            unit="requests",
            domain="Provider Integration",
            stage="provider_call",
            origin="seed 7.1",
            labels=(PROVIDER, STATUS),
        ),
        Metric(
            name="sse_provider_latency_seconds",
            kind="histogram",
            help="Time from sending the request to a provider to its first content",
            unit="seconds",
            domain="Provider Integration",
            stage="provider_call",
            origin="seed 7.2",
            labels=(PROVIDER,),
            buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
        ),
        Metric(
            name="sse_chunks_streamed_total",
            kind="counter",
            help="Chunks delivered to clients",
            unit="chunks",
            domain="Stream Quality",
            stage="streaming",
            origin="seed 8.1",
            labels=(PROVIDER,),
        ),
        Metric(
            name="sse_stream_duration_seconds",
            kind="histogram",
            help="Time from a stream's first chunk to its end",
            unit="seconds",
            domain="Stream Quality",
            stage="streaming",
            origin="seed 8.2",
            labels=(PROVIDER,),
            buckets=(0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
        ),
        Metric(
            name="sse_queue_produce_attempts_total",
            kind="counter",
            help="Attempts to put a request into the queue",
            unit="requests",
            domain="Queue Management",
            stage="admission",
            origin="seed 9.1",
            labels=(QUEUE_TYPE,),
        ),
        Metric(
            name="sse_queue_produce_success_total",
            kind="counter",
            help="Requests put into the queue",
            unit="requests",
            domain="Queue Management",
            stage="admission",
            origin="seed 9.2",
            labels=(QUEUE_TYPE,),
        ),
        Metric(
            name="sse_queue_produce_failures_total",
            kind="counter",
            help="Requests that could not be put into the queue",
            unit="requests",
            domain="Queue Management",
            stage="admission",
            origin="seed 9.3",
            labels=(QUEUE_TYPE, REASON),
        ),
        Metric(
            name="sse_queue_depth",
            kind="gauge",
            help="Requests waiting in the queue",
            unit="requests",
            domain="Queue Management",
            stage="admission",
            origin="seed 9.4",
            labels=(QUEUE_NAME,),
        ),
        Metric(
            name="sse_queue_backpressure_retries_total",
            kind="counter",
            help="Retries because the queue pushed back",
            unit="retries",
            domain="Queue Management",
            stage="admission",
            origin="seed 9.5",
        ),
    )
)
"""The seed's 19, in its order."""

EXTENDED: dict[str, Metric] = _names(
    (
        Metric(
            name="sse_time_to_first_chunk_seconds",
            kind="histogram",
            help="Time from a streamed request's arrival to its first chunk",
            unit="seconds",
            domain="Request Performance",
            stage="any",
            origin="decision 3",
            labels=(PROVIDER,),
            buckets=REQUEST_BUCKETS,
        ),
        Metric(
            name="sse_connection_limit",
            kind="gauge",
            help="Streaming connections this replica takes at most",
            unit="connections",
            domain="Connection Management",
            stage="admission",
            origin="decision 12",
        ),
        Metric(
            name="sse_rescues_total",
            kind="counter",
            help="Streams of a provider that broke off after their first byte, by how that ended",
            unit="requests",
            domain="Resilience Patterns",
            stage="streaming",
            origin="extended",
            labels=(PROVIDER, RESCUE_RESULT),
        ),
        Metric(
            name="sse_malformed_frames_total",
            kind="counter",
            help="Malformed frames of a provider that were left out of streams that went on",
            unit="chunks",
            domain="Stream Quality",
            stage="streaming",
            origin="extended",
            labels=(PROVIDER,),
        ),
        Metric(
            name="sse_rate_limit_local_total",
            kind="counter",
            help="Requests limited by a process's own share, because the store did not count them",
            unit="requests",
            domain="Rate Limiting",
            stage="admission",
            origin="extended",
        ),
        Metric(
            name="sse_client_disconnects_total",
            kind="counter",
            help="Clients that were gone before their answer was complete",
            unit="clients",
            domain="Stream Quality",
            stage="streaming",
            origin="extended",
            labels=(LEAVING, WHEN),
        ),
        Metric(
            name="sse_retries_total",
            kind="counter",
            help="Calls of a provider that were made again before the client had a first byte",
            unit="retries",
            domain="Resilience Patterns",
            stage="provider_call",
            origin="extended",
            labels=(PROVIDER, ATTEMPT_REASON),
        ),
        Metric(
            name="sse_fallbacks_total",
            kind="counter",
            help="Times that a fallback was turned to because this provider had failed",
            unit="requests",
            domain="Resilience Patterns",
            stage="provider_call",
            origin="extended",
            labels=(PROVIDER, ATTEMPT_REASON),
        ),
        Metric(
            name="sse_circuit_breaker_model_state",
            kind="gauge",
            help="State of the circuit breaker that guards a model: its provider's, or its own",
            unit="state",
            domain="Resilience Patterns",
            stage="provider_call",
            origin="extended",
            labels=(PROVIDER, MODEL),
            states=("CLOSED", "HALF_OPEN", "OPEN"),
        ),
        Metric(
            name="sse_circuit_breaker_refused_total",
            kind="counter",
            help="Calls that were not made because a circuit breaker was not closed",
            unit="requests",
            domain="Resilience Patterns",
            stage="provider_call",
            origin="extended",
            labels=(PROVIDER,),
        ),
        Metric(
            name="sse_provider_connections",
            kind="gauge",
            help="Open connections to a provider",
            unit="connections",
            domain="Provider Integration",
            stage="provider_call",
            origin="extended",
            labels=(PROVIDER, POOL_STATE),
        ),
        Metric(
            name="sse_provider_connections_opened_total",
            kind="counter",
            help="Connections opened to a provider",
            unit="connections",
            domain="Provider Integration",
            stage="provider_call",
            origin="extended",
            labels=(PROVIDER,),
        ),
        Metric(
            name="sluice_mailbox_depth",
            kind="gauge",
            help="Messages waiting in the mailboxes of a kind of actor",
            unit="messages",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(ACTOR,),
        ),
        Metric(
            name="sluice_mailbox_overflow_total",
            kind="counter",
            help="Messages a full mailbox refused or dropped",
            unit="messages",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(ACTOR,),
        ),
        Metric(
            name="sluice_reports_lost_total",
            kind="counter",
            help="Requests that ended uncounted, because nobody counted for too long",
            unit="requests",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="sluice_streams_lost_total",
            kind="counter",
            help="Streams that a worker took with it when it died; no other metric counts them",
            unit="requests",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="sluice_actor_restarts_total",
            kind="counter",
            help="Restarts of a kind of actor",
            unit="restarts",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(ACTOR,),
        ),
        Metric(
            name="sluice_dead_letters_total",
            kind="counter",
            help="Messages that a kind of actor was told and never handled",
            unit="messages",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(ACTOR,),
        ),
        Metric(
            name="sluice_ask_latency_seconds",
            kind="histogram",
            help="Time from asking a kind of actor to its reply, of one ask in 16",
            unit="seconds",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(ACTOR,),
            buckets=ASK_BOUNDS,
        ),
        Metric(
            name="sluice_ask_timeouts_total",
            kind="counter",
            help="Asks of a kind of actor whose deadline passed",
            unit="messages",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(ACTOR,),
        ),
        Metric(
            name="sluice_link_unreadable_total",
            kind="counter",
            help="Messages between processes that were refused: of an unknown type, or malformed",
            unit="messages",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="sluice_foreign_counts_total",
            kind="counter",
            help="Counts of workers of another release that this one has no metric for",
            unit="messages",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="sluice_loop_delay_seconds",
            kind="histogram",
            help="How much later than due a task of the event loop ran",
            unit="seconds",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
        ),
        Metric(
            name="sluice_build_info",
            kind="gauge",
            help="Always 1; the label says which release runs",
            unit="info",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(VERSION,),
        ),
        Metric(
            name="sluice_store_operations_total",
            kind="counter",
            help="Operations wanted of the store, by what became of them",
            unit="operations",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            labels=(STORE_OUTCOME,),
        ),
        Metric(
            name="sluice_store_latency_seconds",
            kind="histogram",
            help="Time from asking the store to its answer, of what it answered",
            unit="seconds",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
        ),
        Metric(
            name="sluice_store_state",
            kind="gauge",
            help="The store: 0 used, 1 passed by or full, in part or in whole",
            unit="state",
            domain="Service Runtime",
            stage="any",
            origin="extended",
            states=("USABLE", "PASSED_BY"),
        ),
        Metric(
            name="sluice_store_connects_total",
            kind="counter",
            help="Connections made to servers of the store that worked",
            unit="connections",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="process_cpu_seconds_total",
            kind="counter",
            help="Total user and system CPU time spent in seconds.",
            unit="seconds",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="process_resident_memory_bytes",
            kind="gauge",
            help="Resident memory size in bytes.",
            unit="bytes",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="process_open_fds",
            kind="gauge",
            help="Number of open file descriptors.",
            unit="descriptors",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="process_max_fds",
            kind="gauge",
            help="Maximum number of open file descriptors.",
            unit="descriptors",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
        Metric(
            name="process_start_time_seconds",
            kind="gauge",
            help="Start time of the process since unix epoch in seconds.",
            unit="seconds",
            domain="Service Runtime",
            stage="any",
            origin="extended",
        ),
    )
)
"""What we add; no label set of the 19 is changed by it (``decision 1``)."""

ALL: dict[str, Metric] = CATALOG | EXTENDED
