"""What a stream tells when it ended: one report, from which metrics and the log are made."""

from __future__ import annotations

from typing import Literal

import msgspec

from sluice.actors.failures import ErrorType, Stage
from sluice.actors.limits.callers import Caller, CallerKind

Outcome = Literal["success", "failure", "timeout"]


class Attempt(msgspec.Struct, frozen=True):
    """One call of a provider. ``latency``: seconds to the first content (``decision 18``)."""

    provider: str
    status: Outcome
    latency: float | None
    model: str = ""
    """As configured."""
    http_status: int | None = None
    """Of the provider's answer, if there was one."""
    code: str = ""
    """Of the failure; empty: there was none of the provider's."""
    seconds: float = 0.0
    """From the call to its end."""
    dropped: int = 0
    """Malformed frames of its answer that were left out."""


class Again(msgspec.Struct, frozen=True):
    """Somebody was asked again because ``provider`` had failed, for one of `attempts.REASONS`."""

    by: Literal["retry", "fallback"]
    provider: str
    reason: str


RescueResult = Literal["continued", "restarted", "completed", "differed", "failed", "impossible"]
"""What became of an answer that broke off. ``continued``: from a prefill; ``completed``: it lacked
nothing but its end; ``differed``: other answers did not repeat it; ``impossible``: not tried."""


class Rescue(msgspec.Struct, frozen=True):
    """An answer of ``provider``'s broke off after its client had had some of it."""

    provider: str
    result: RescueResult


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
    again: tuple[Again, ...] = ()
    """The retries and the fallbacks, in their order."""
    rescues: tuple[Rescue, ...] = ()
    """What became of answers that broke off, in their order."""
    error: tuple[ErrorType, Stage] | None = None
    caller: Caller | None = None
    """Who asked; None: it did not come so far that this was known."""
    limited_by: CallerKind | None = None
    """The limit that turned it away, if one did."""
    end: str = "complete"
    """For the log: ``complete``, ``client_left``, ``client_stalled``, or a failure's code."""
