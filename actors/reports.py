"""What a stream tells when it ended: one report, from which metrics and the log are made."""

from __future__ import annotations

from typing import Literal

import msgspec

from .callers import Caller, CallerKind
from .failures import ErrorType, Stage

Outcome = Literal["success", "failure", "timeout"]


class Attempt(msgspec.Struct, frozen=True):
    """One call of a provider. ``latency``: seconds to the first content (``decision 18``)."""

    provider: str
    status: Outcome
    latency: float | None


class RequestReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one request went. Labels are already bounded (``decision 7``); durations in seconds."""

    request_id: str
    stream_id: str
    route: str
    streamed: bool
    outcome: Outcome | None
    """None: turned away before it counted (``decision 5``)."""
    http_status: int
    """Of the head as sent; 0 when the client left before any head."""
    provider: str
    model: str
    duration: float
    """From arrival to the last byte handed to the client: ``stage="total"``."""
    stages: tuple[tuple[str, float], ...] = ()
    """Durations by stage: ``validation``, ``provider_call``, ``streaming``."""
    substages: tuple[tuple[str, str, float], ...] = ()
    """(stage, substage, seconds) for ``sse_stage_duration_seconds``."""
    first_chunk: float | None = None
    """From arrival to the first chunk."""
    stream_duration: float | None = None
    """From the first chunk to the end, for streams that had one."""
    chunks: int = 0
    """Chunks delivered and not yet told by `ChunksStreamed`."""
    chunks_total: int = 0
    attempts: tuple[Attempt, ...] = ()
    error: tuple[ErrorType, Stage] | None = None
    caller: Caller | None = None
    """Who asked; None: it did not come so far that this was known."""
    limited_by: CallerKind | None = None
    """The limit that turned it away, if one did."""
    end: str = "complete"
    """For the log: ``complete``, ``client_left``, ``client_stalled``, or a failure's code."""
