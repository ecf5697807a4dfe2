"""Crash reports: what an actor died of, without secrets."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import Any

import msgspec
import trio

from ._redact import Redactor


class CrashReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one incarnation died of. Every field has been redacted."""

    path: str
    kind: str
    """The name of the actor's class."""
    incarnation: int
    at: datetime
    """UTC."""
    phase: str
    """What it was doing: ``starting``, ``handling``, ``background``, ``stopping``, ``ending``."""
    reason: str
    """The type and text of the exception."""
    traceback: str
    message_type: str | None
    message: Any
    """The message it was handling, as plain data; None if it was handling none."""
    state: Any
    """What its `statistics` said after the crash, as plain data."""


def make_report(
    *,
    path: str,
    kind: str,
    incarnation: int,
    phase: str,
    error: BaseException,
    message: object,
    state: object,
) -> CrashReport:
    """The report of a crash by ``error``, which has no secret of ``message`` or ``state``."""
    redactor = Redactor()
    shown_message = redactor.value(message)
    shown_state = redactor.value(state)
    return CrashReport(
        path=path,
        kind=kind,
        incarnation=incarnation,
        at=datetime.now(UTC),
        phase=phase,
        reason=redactor.text(f"{type(error).__name__}: {error}"),
        traceback=redactor.text("".join(traceback.format_exception(error))),
        message_type=None if message is None else type(message).__name__,
        message=shown_message,
        state=shown_state,
    )


def split(raised: BaseException) -> tuple[Exception | None, BaseException | None]:
    """What is the actor's own fault in ``raised``, and what must go on to those outside.

    A nursery wraps a crash and the cancellation that it caused, or that came at the same time
    from outside, in one group. The crash stays here; `trio.Cancelled`, `KeyboardInterrupt` and
    their like belong to somebody outside.
    """
    if isinstance(raised, Exception):
        return _unwrap(raised), None
    if not isinstance(raised, BaseExceptionGroup):
        return None, raised
    fault, foreign = raised.split(Exception)
    if foreign is not None:
        cancelled, worse = foreign.split(trio.Cancelled)
        foreign = cancelled if worse is None else worse
    return (None if fault is None else _unwrap(fault)), foreign


def _unwrap(error: Exception) -> Exception:
    """The only exception in nested groups of one; otherwise ``error`` itself."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
