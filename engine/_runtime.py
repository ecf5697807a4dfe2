"""What all parts of one system share: its timer, its books, its hook."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from ._crash import CrashReport
from ._events import Event, Kind, OnEvent
from ._redact import Redactor
from ._request import Request, Timer

if TYPE_CHECKING:
    from ._cell import Cell
    from ._links import Links
    from ._mailbox import Mail
    from ._supervisor import Supervisor

KEPT: Final = 64
"""Dead letters and crash reports kept for inspection."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that nobody handled. ``message`` is plain data, redacted; ``at`` trio's time."""

    path: str
    message_type: str
    message: Any
    reason: str
    at: float


class Runtime:
    """Shared by the system, its supervisors and its actors."""

    def __init__(self, on_event: OnEvent | None, chance: Random) -> None:
        self.timer = Timer()
        self.chance = chance
        self.cells: dict[str, Cell] = {}
        self.supervisors: dict[str, Supervisor] = {}
        self.crashes = 0
        self.restarts = 0
        self.dead_letters = 0
        self.hook_failures = 0
        self.crash_reports: deque[CrashReport] = deque(maxlen=KEPT)
        self._dead: deque[tuple[str, Any, str, float]] = deque(maxlen=KEPT)
        self._on_event = on_event
        self.links: Links | None = None
        self.nursery: trio.Nursery | None = None
        """For tasks that are the system's own, and end with it."""

    def waits_changed(self, cell: Cell) -> None:
        """Others than before wait for ``cell``, which waits itself: other processes may need it."""
        if self.links is not None:
            self.links.waits.changed(cell)

    def tell(
        self,
        kind: Kind,
        path: str,
        incarnation: int = 0,
        *,
        generation: int = 0,
        detail: str = "",
        delay: float = 0.0,
        report: CrashReport | None = None,
    ) -> None:
        """Tell the service's hook what happened."""
        if self._on_event is None:
            return
        event = Event(
            kind=kind,
            path=path,
            incarnation=incarnation,
            generation=generation,
            at=trio.current_time(),
            detail=detail,
            delay=delay,
            report=report,
        )
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 -- a hook's fault must not become a supervisor's
            self.hook_failures += 1

    def crashed(self, report: CrashReport) -> None:
        """Keep the report of a crash, and tell it."""
        self.crashes += 1
        self.crash_reports.append(report)
        kind: Kind = "start_failed" if report.phase == "starting" else "crashed"
        self.tell(kind, report.path, report.incarnation, detail=report.reason, report=report)

    def dead_letter(self, path: str, mail: Mail, reason: str) -> None:
        """Keep a message that nobody will handle."""
        message = mail.message if isinstance(mail, Request) else mail
        self.dead_letters += 1
        self._dead.append((path, message, reason, trio.current_time()))

    def last_dead_letters(self) -> tuple[DeadLetter, ...]:
        """The last `KEPT` of them, oldest first. Redacted now: most are never looked at."""
        return tuple(
            DeadLetter(path, type(message).__name__, Redactor().value(message), reason, at)
            for path, message, reason, at in self._dead
        )
