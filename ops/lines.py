"""Log lines of a process about its actors, its store, and requests that are no streams."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
import structlog

from sluice.actors.breakers.circuits import Change
from sluice.actors.metrics.reports import RequestReport
from sluice.actors.store import Change as StoreChange
from sluice.engine import Event
from sluice.ops.logs import line_of

_STAMPS: Final = frozenset({"timestamp", "level"})
"""What a line has from its logger."""
_GRAVE: Final = frozenset({"crashed", "start_failed", "gave_up"})


def store_line(
    log: structlog.typing.FilteringBoundLogger, change: StoreChange, *, ending: bool
) -> None:
    """One line for what became of the store; ``ending``: nothing else is expected of it."""
    grave = change.state != "usable" and not ending
    getattr(log, "warning" if grave else "info")(
        f"store {change.state.replace('_', ' ')}", server=change.server, reason=change.reason
    )


def breaker_line(log: structlog.typing.FilteringBoundLogger, change: Change) -> None:
    """One line for a circuit breaker that went from state to state."""
    level = "info" if change.after == "closed" else "warning"
    getattr(log, level)(
        f"circuit breaker {change.after.replace('_', ' ')}",
        breaker=change.name,
        before=change.before.replace("_", " "),
        reason=change.by,
    )


def log_event(log: structlog.typing.FilteringBoundLogger, event: Event) -> None:
    """One line for what happened to an actor; a crash with its report."""
    level = "error" if event.kind in _GRAVE else "info"
    said = {
        "generation": event.generation,
        "incarnation": event.incarnation,
        "detail": event.detail,
        "report": None if event.report is None else msgspec.to_builtins(event.report),
    }
    told = {name: value for name, value in said.items() if value}
    getattr(log, level)(f"actor {event.kind}", actor=event.path, **told)


def small_request_line(report: RequestReport) -> None:
    """One line at level debug: probes and scrapes would drown the lines of streams."""
    log = structlog.get_logger()
    if log.is_enabled_for(logging.DEBUG):
        fields = msgspec.to_builtins(line_of(report))
        log.debug(**{key: value for key, value in fields.items() if key not in _STAMPS})
