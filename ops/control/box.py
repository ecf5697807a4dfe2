"""Events on their way from a worker to its host: bounded, in order, none twice. All pure."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from .protocol import Happened

ROOM: Final = 512
"""Events that wait; a start is a dozen, a crash three."""
BATCH: Final = 32
"""Events that are told at once: with reports of some KiB, far from a frame's bound."""

_DETAIL: Final = 1000
"""Characters of the detail of an event that had to be shortened."""


class Box:
    """What a worker has not been able to tell yet. The oldest make room for the newest."""

    def __init__(self, room: int = ROOM) -> None:
        self._events: deque[Happened] = deque(maxlen=room)
        self._put = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def first(self) -> int:
        """The number of the oldest that waits; of the next one, if none does."""
        return self._put - len(self._events) + 1

    def put(self, event: Happened) -> None:
        """``event`` is the newest."""
        self._put += 1
        self._events.append(event)

    def batch(self) -> list[Happened]:
        """The oldest few that wait."""
        return [self._events[index] for index in range(min(BATCH, len(self._events)))]

    def taken(self, number: int) -> None:
        """Those up to ``number`` have arrived."""
        while self._events and self.first <= number:
            self._events.popleft()

    def shorten(self) -> None:
        """The next batch does not fit through the link: its events lose their reports."""
        for index, event in enumerate(self.batch()):
            reason = "" if event.report is None else str(event.report.get("reason", ""))
            detail = f"{event.detail or reason}"[:_DETAIL]
            self._events[index] = msgspec.structs.replace(event, detail=detail, report=None)


class Counter:
    """What has arrived of each process's numbered events."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def new(self, process: str, first: int, events: list[Happened]) -> tuple[int, list[Happened]]:
        """How many were dropped before them, and those that have not been seen."""
        due = self._next.get(process, 1)
        self._next[process] = max(due, first + len(events))
        return max(0, first - due), events[max(0, due - first) :]

    def forget(self, process: str) -> None:
        """It has ended. Idempotent."""
        self._next.pop(process, None)
