"""Which metrics a request's report moves, and the rates of the last minute. All pure.

`updates` is the one place that knows what is counted when (``decision 5``, ``decision 17``);
it is called once a request, so it builds plain tuples and nothing else.
"""

from __future__ import annotations

from collections import deque

import msgspec

from .catalog import TOTAL
from .reports import RequestReport
from .tally import Update

_AGAIN = {"retry": "sse_retries_total", "fallback": "sse_fallbacks_total"}
_LEAVING = {"client_left": "left", "client_stalled": "stalled"}


def updates(report: RequestReport) -> list[Update]:
    """Everything ``report`` moves.

    * A request that was turned away (no outcome) is no request of ``sse_requests_total``, and
      has no duration: it counts by its error alone, or by its limit (``decision 5``, ``17``).
    * Calls of providers count whatever became of the request (``decision 17``).
    * The time to the first chunk is a stream's; a whole answer has none (``decision 3``).
    """
    moved = _outcome(report) if report.outcome is not None else []
    moved += _attempts(report)
    if report.streamed:
        moved += _stream(report)
    if report.error is not None:
        moved.append(("sse_errors_total", report.error, 1))
    if report.limited_by is not None:
        moved.append(("sse_rate_limit_exceeded_total", (report.limited_by,), 1))
    if report.end in _LEAVING:
        when = "before_first_chunk" if report.first_chunk is None else "streaming"
        moved.append(("sse_client_disconnects_total", (_LEAVING[report.end], when), 1))
    return moved


def _outcome(report: RequestReport) -> list[Update]:
    """The request itself, once, when it ends, under what served it (``decision 5``)."""
    labels = (report.outcome or "", report.provider, report.model)
    moved: list[Update] = [
        ("sse_requests_total", labels, 1),
        ("sse_request_duration_seconds", (TOTAL,), report.duration),
    ]
    for stage, seconds in report.stages:
        moved.append(("sse_request_duration_seconds", (stage,), seconds))
    for stage, substage, seconds in report.substages:
        moved.append(("sse_stage_duration_seconds", (stage, substage), seconds))
    return moved


def _attempts(report: RequestReport) -> list[Update]:
    """Calls of providers, their time to the first content (``decision 18``), why others came."""
    moved: list[Update] = []
    for attempt in report.attempts:
        moved.append(("sse_provider_requests_total", (attempt.provider, attempt.status), 1))
        if attempt.latency is not None:
            moved.append(("sse_provider_latency_seconds", (attempt.provider,), attempt.latency))
        if attempt.dropped:
            moved.append(("sse_malformed_frames_total", (attempt.provider,), attempt.dropped))
    moved += [(_AGAIN[each.by], (each.provider, each.reason), 1) for each in report.again]
    moved += [("sse_rescues_total", (each.provider, each.result), 1) for each in report.rescues]
    return moved


def _stream(report: RequestReport) -> list[Update]:
    """What only a stream has: a first chunk, chunks, and a length."""
    provider = (report.provider,)
    moved: list[Update] = []
    if report.first_chunk is not None:
        moved.append(("sse_time_to_first_chunk_seconds", provider, report.first_chunk))
    if report.stream_duration is not None:
        moved.append(("sse_stream_duration_seconds", provider, report.stream_duration))
    if report.chunks:
        moved.append(("sse_chunks_streamed_total", provider, report.chunks))
    return moved


def is_error(report: RequestReport) -> bool:
    """Whether it counts towards the error rate: not if the client is at fault, nor a 429.

    ``decision 6``; a client that leaves brings no error with it (``decision 5``).
    """
    if report.error is None or report.http_status == 429:
        return False
    return report.error[0] != "validation_error"


class Rates(msgspec.Struct, frozen=True):
    """The rates of the last while, for ``/health`` (``seed J``)."""

    requests_per_second: float = 0.0
    error_rate_percent: float = 0.0


class Load(msgspec.Struct, frozen=True):
    """What ended in a while."""

    requests: int = 0
    judged: int = 0
    """Those that count towards the error rate."""
    errors: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(
            self.requests + other.requests, self.judged + other.judged, self.errors + other.errors
        )


def load_of(report: RequestReport) -> Load:
    """What ``report`` adds.

    A request counts towards the error rate if it counts as a request, or as an error: one
    turned away for lack of anything is seen here as well.
    """
    counted, error = report.outcome is not None, is_error(report)
    return Load(int(counted), int(counted or error), int(error))


class _Second(msgspec.Struct):
    """What ended within one second."""

    start: int
    requests: int = 0
    judged: int = 0
    errors: int = 0


class Window:
    """A sliding window over the requests that ended, in steps of a second.

    ``span`` is its length in seconds. Every ``now`` is in seconds on one clock that never
    goes back.
    """

    def __init__(self, span: int = 60) -> None:
        self._span = span
        self._begin: float | None = None
        self._untaken = Load()
        self._seconds: deque[_Second] = deque()

    def begin(self, now: float) -> None:
        """Say when there was something to count for the first time; later calls do nothing."""
        if self._begin is None:
            self._begin = now

    def add(self, now: float, report: RequestReport) -> None:
        """Count a request that ended at ``now``."""
        load = load_of(report)
        self.add_load(now, load)
        self._untaken = self._untaken + load

    def take(self) -> Load:
        """What was counted by `add` since the last time, for another process' `add_load`."""
        load, self._untaken = self._untaken, Load()
        return load

    def add_load(self, now: float, load: Load) -> None:
        """Count what ended in another process, or here, until ``now``."""
        second = self._at(int(now))
        second.requests += load.requests
        second.judged += load.judged
        second.errors += load.errors

    def rates(self, now: float) -> Rates:
        """The rates over the last ``span`` seconds, or since the beginning if that is shorter."""
        self._forget(int(now))
        begin = now if self._begin is None else self._begin
        elapsed = min(max(now - begin, 1.0), float(self._span))
        requests = sum(second.requests for second in self._seconds)
        judged = sum(second.judged for second in self._seconds)
        errors = sum(second.errors for second in self._seconds)
        return Rates(requests / elapsed, 100.0 * errors / judged if judged else 0.0)

    def _at(self, now: int) -> _Second:
        if not self._seconds or self._seconds[-1].start != now:
            self._forget(now)
            self._seconds.append(_Second(now))
        return self._seconds[-1]

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0].start <= now - self._span:
            self._seconds.popleft()
