"""What a stream's end means (``decision 5``, ``decision 17``). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.actors.failures import (
    ClientLeft,
    ClientStalled,
    ErrorType,
    Failure,
    Limited,
    Stage,
    counted_as,
)
from sluice.actors.metrics.reports import Outcome, RequestReport

if TYPE_CHECKING:
    from .stream import Stream

Ending = Failure | ClientLeft | ClientStalled | None
"""How a stream ended; None: well."""

_TURNED_AWAY = frozenset({"connection_pool_exhausted", "rate_limit_exceeded", "validation_error"})


def outcome_of(ending: Ending) -> Outcome:
    """``success``, ``failure`` or ``timeout``. A client that leaves is no failure of ours."""
    if ending is None or isinstance(ending, ClientLeft):
        return "success"
    if isinstance(ending, ClientStalled) or ending.error_type == "timeout_error":
        return "timeout"
    return "failure"


def error_of(ending: Ending) -> tuple[ErrorType, Stage] | None:
    """What ``sse_errors_total`` counts."""
    if isinstance(ending, Failure):
        return counted_as(ending)
    return ("timeout_error", "streaming") if isinstance(ending, ClientStalled) else None


def _end_word(ending: Ending) -> str:
    if isinstance(ending, Failure):
        return ending.code
    if ending is None:
        return "complete"
    return "client_left" if isinstance(ending, ClientLeft) else "client_stalled"


def report_of(stream: Stream, ending: Ending, now: float) -> RequestReport:
    """The report of ``stream``, which ended with ``ending`` at ``now``."""
    job, flow = stream.job, stream.heard
    turned_away = (
        isinstance(ending, Failure)
        and ending.error_type in _TURNED_AWAY
        and ending.stage in {"admission", "validation"}
    )
    model = job.model if stream.answered_at is None else stream.model
    first_chunk_at = None if flow is None else flow.first_chunk_at
    chunks = 0 if flow is None or first_chunk_at is None else flow.chunks
    return RequestReport(
        request_id=job.request_id,
        stream_id=stream.id,
        route=job.route,
        streamed=job.streamed,
        outcome=None if turned_away else outcome_of(ending),
        http_status=stream.http_status,
        provider=model.provider,
        model=model.name,
        duration=now - job.arrived,
        stages=_stages(stream, first_chunk_at, now),
        substages=_substages(stream),
        first_chunk=None if first_chunk_at is None else first_chunk_at - job.arrived,
        stream_duration=None if first_chunk_at is None else now - first_chunk_at,
        chunks=0 if flow is None else chunks - flow.told_chunks,
        chunks_total=chunks,
        attempts=tuple(stream.attempts),
        again=tuple(stream.again),
        rescues=tuple(stream.rescues),
        error=error_of(ending),
        caller=job.caller,
        limited_by=ending.limited_by if isinstance(ending, Limited) else None,
        end=_end_word(ending),
    )


def _stages(
    stream: Stream, first_chunk_at: float | None, now: float
) -> tuple[tuple[str, float], ...]:
    job = stream.job
    stages = [("validation", job.validated - job.arrived)]
    if stream.first_called_at is not None:
        answered_at = stream.answered_at or now
        stages.append(("provider_call", answered_at - stream.first_called_at))
    if first_chunk_at is not None:
        stages.append(("streaming", now - first_chunk_at))
    return tuple(stages)


def _substages(stream: Stream) -> tuple[tuple[str, str, float], ...]:
    job = stream.job
    parts = [("validation", "validation", job.validated - job.arrived)]
    if stream.admitted_at is not None:
        parts.append(("admission", "limit", stream.limited_at - job.validated))
        parts.append(("admission", "slot", stream.admitted_at - stream.limited_at))
    if stream.latency is not None:
        parts.append(("provider_call", "first_content", stream.latency))
    return tuple(parts)
