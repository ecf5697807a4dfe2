"""Log lines: JSON, UTC, one a request and one for everything else that is worth telling.

structlog is the interface (``get_logger("sluice.x").warning("what", key=value)``); what
libraries say through the standard library's ``logging`` takes the same way. A line holds no
prompt and no secret (`redaction`), and costs the event loop microseconds: a thread writes
(`log_pipe`).
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import structlog

from sluice.actors.metrics.reports import Attempt, RequestReport

from .log_pipe import LogPipe, LogPipeStatistics
from .redaction import STARS, redact_item

Level = Literal["debug", "info", "warning", "error"]
EventDict = MutableMapping[str, Any]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SHORTEST_SECRET: Final = 6
"""Shorter ones would hide ordinary words."""
_QUIET: Final = ("asyncio", "httpx2", "httpcore2", "trio-websocket", "wsproto")
"""Libraries that say below warning what nobody needs: each request once more, each frame of the
operators' WebSocket."""

_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger; ``name`` tells which part speaks: ``sluice.edge``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name)
    return logger


class _Clock:
    """The time of day as text: UTC, RFC 3339, to the millisecond. Dates are made once a second."""

    def __init__(self) -> None:
        self._last = (-1, "")

    def now(self) -> str:
        """Such as ``2026-03-01T12:00:00.123Z``."""
        moment = time.time()
        second = int(moment)
        known, text = self._last
        if second != known:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._last = (second, text)
        return f"{text}{int((moment - second) * 1000):03d}Z"


_clock: Final = _Clock()


class TriedLine(msgspec.Struct, frozen=True):
    """One of several calls of providers: ``status`` is the provider's, ``code`` the failure's."""

    provider: str
    model: str
    status: int | None
    code: str
    duration_ms: float


class RequestLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is logged of one request: who served it and how it went, nothing of its content."""

    timestamp: str
    level: str
    event: str
    request_id: str
    stream_id: str
    route: str
    status: int
    outcome: str | None
    provider: str
    model: str
    streamed: bool
    end: str
    duration_ms: float
    first_chunk_ms: float | None
    stream_ms: float | None
    chunks: int
    attempts: int
    error_type: str | None = None
    error_stage: str | None = None
    caller_kind: str | None = None
    caller: str | None = None
    process: str | None = None
    tried: tuple[TriedLine, ...] = ()
    """Every call in its order, where there was more than one."""
    rescues: list[str] | None = None
    """Whose answer broke off, and what became of it."""
    malformed: int | None = None
    """Frames that were left out."""


class Log:
    """The open log. `open_log` makes one, routes structlog and ``logging`` to it, ends it."""

    def __init__(self, descriptor: int, level: Level, secrets: Iterable[str] = ()) -> None:
        self._pipe = LogPipe(descriptor, _loss)
        self.level: Level = level
        self._info = _LEVELS[level] <= logging.INFO
        self.process: str | None = None
        """Named in every line, where there are several."""
        self._secrets: list[bytes] = []
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Star these wherever they appear, besides those that are starred already."""
        known = [_inside_json(one) for one in secrets if len(one) >= _SHORTEST_SECRET]
        self._secrets = list(dict.fromkeys([*self._secrets, *known]))

    def set_level(self, level: Level) -> Level:
        """Log from ``level`` on; what it was before."""
        before, self.level = self.level, level
        self._info = _LEVELS[level] <= logging.INFO
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))
        logging.getLogger().setLevel(_LEVELS[level])
        return before

    def request(self, report: RequestReport) -> None:
        """One line for one request."""
        if self._info:
            self._pipe.put(_encode(line_of(report, self.process)) + b"\n")

    def tell(self, event: str, **told: object) -> None:
        """One warning whatever the level: for what an operator must not miss."""
        self.put(prepare(None, "", {"level": "warning", "event": event, **told}))

    def put(self, event: Mapping[str, Any]) -> None:
        """One line of redacted ``event``. Never raises."""
        try:
            line = _encode(event if self.process is None else {**event, "process": self.process})
            for secret in self._secrets:
                line = line.replace(secret, STARS.encode())
        except Exception as problem:  # noqa: BLE001 -- whatever a line holds, it is no reason to fail
            line = _encode({**_stamp("error"), "event": "log line", "problem": repr(type(problem))})
        self._pipe.put(line + b"\n")

    def close(self) -> None:
        """Write what waits. Idempotent."""
        self._pipe.close()

    def statistics(self) -> LogPipeStatistics:
        """Lines written, waiting and lost."""
        return self._pipe.statistics()


_open: Final[list[Log]] = []
"""The log that lines go to is the last one opened, as with structlog's own configuration."""


@contextmanager
def open_log(descriptor: int, level: Level, secrets: Iterable[str] = ()) -> Iterator[Log]:
    """Log to ``descriptor`` within the block; ``secrets`` are starred wherever they appear."""
    log = Log(descriptor, level, secrets)
    _open.append(log)
    structlog.configure(
        processors=[structlog.processors.add_log_level, prepare, _Sink(log.put)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(log.put)
    root = logging.getLogger()
    before, old_level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield log
    finally:
        _open.remove(log)
        root.handlers[:] = before
        root.setLevel(old_level)
        structlog.reset_defaults()
        log.close()


def set_level(level: Level | None) -> tuple[Level, Level]:
    """Log from ``level`` on (None: as before); the level now, and before. While a log is open."""
    log = _open[-1]
    before = log.level if level is None else log.set_level(level)
    return log.level, before


def name_process(process: str) -> None:
    """Every line from now on tells which process it is from. While a log is open."""
    _open[-1].process = process


def request_line(report: RequestReport) -> None:
    """Log one line for one request; nothing happens while no log is open."""
    if _open:
        _open[-1].request(report)


def line_of(report: RequestReport, process: str | None = None) -> RequestLine:
    """The line of ``report``; durations become milliseconds."""
    error_type, error_stage = report.error or (None, None)
    caller = report.caller
    return RequestLine(  # in the struct's order: by name would cost seven times as much
        _clock.now(),
        "info",
        "request",
        report.request_id,
        report.stream_id,
        report.route,
        report.http_status,
        report.outcome,
        report.provider,
        report.model,
        report.streamed,
        report.end,
        _milliseconds(report.duration),
        None if report.first_chunk is None else _milliseconds(report.first_chunk),
        None if report.stream_duration is None else _milliseconds(report.stream_duration),
        report.chunks_total,
        len(report.attempts),
        error_type,
        error_stage,
        None if caller is None else caller.kind,
        None if caller is None else caller.name,
        process,
        tuple(map(_tried, report.attempts)) if len(report.attempts) > 1 else (),
        [f"{each.provider} {each.result}" for each in report.rescues] or None,
        sum(each.dropped for each in report.attempts) or None,
    )


def _tried(attempt: Attempt) -> TriedLine:
    return TriedLine(
        attempt.provider,
        attempt.model,
        attempt.http_status,
        attempt.code,
        _milliseconds(attempt.seconds),
    )


def prepare(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Structlog's processor of ours: the time, the traceback, nothing private."""
    told: dict[str, Any] = {"timestamp": _clock.now(), "level": event.pop("level", "info")}
    told["event"] = event.pop("event", "")
    exception = event.pop("exc_info", None)
    for key, value in event.items():
        told[key] = redact_item(key, value)
    if exception:
        told["exception"] = _traceback(exception)
    return told


class _Sink:
    """structlog's last processor: hands the line over, and leaves the logger nothing to do."""

    def __init__(self, put: Callable[[Mapping[str, Any]], None]) -> None:
        self._put = put

    def __call__(self, _logger: object, _method: str, event: EventDict) -> str:
        self._put(event)
        raise structlog.DropEvent


class _Handler(logging.Handler):
    """What libraries log, as lines like ours."""

    def __init__(self, put: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001 -- arguments that do not fit their text: it says enough
            event = str(record.msg)
        told = {**_stamp(level), "event": event, "source": record.name}
        if record.exc_info:
            told["exception"] = _traceback(record.exc_info)
        self._put(told)


def _stamp(level: str) -> dict[str, str]:
    return {"timestamp": _clock.now(), "level": level}


def _milliseconds(seconds: float) -> float:
    """To the microsecond."""
    return int(seconds * 1_000_000) / 1000


def _traceback(exception: object) -> str:
    """The traceback of what structlog and ``logging`` take as ``exc_info``."""
    if isinstance(exception, tuple):
        exception = exception[1]
    if not isinstance(exception, BaseException):
        return traceback.format_exc()
    return "".join(traceback.format_exception(exception))


def _loss(count: int) -> bytes:
    event = "log lines lost: the log's sink did not take them"
    return _encode({**_stamp("warning"), "event": event, "lines": count}) + b"\n"


def _inside_json(secret: str) -> bytes:
    """``secret`` as it stands between the quotes of a JSON text."""
    return _encode(secret)[1:-1]
