"""Reports of requests that ended, on their way to the metrics without a message each.

Whoever ends a request enters its report, which costs an append; the metrics actor reads what was
entered some times a second, and before it tells anybody a number. A message each would cost
every request a switch of tasks, for something that nobody waits for.

The ledger outlives the actor's incarnations: what is entered while there is none is read by the
next. One that nobody reads for too long is full: what comes then is lost, and counted.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import trio

from .reports import RequestReport

CAPACITY = 65_536
"""Reports that may wait: a minute of a thousand requests a second, in 80 MB."""


class Entry(NamedTuple):
    """A report, and when the request ended (`trio.current_time`)."""

    at: float
    report: RequestReport


class Ledger:
    """What was entered and not read, the oldest first; at most ``capacity`` entries."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._entered = trio.Event()
        self.lost = 0
        """Reports that found it full."""

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Ledger {len(self)} entries, {self.lost} lost>"

    def enter(self, report: RequestReport) -> None:
        """A request has ended, just now. Never blocks and never raises."""
        if len(self._entries) >= self._capacity:
            self.lost += 1
            return
        self._entries.append(Entry(trio.current_time(), report))
        if len(self._entries) == 1:
            self._entered.set()

    def read(self) -> Entry | None:
        """The oldest entry, the reader's from now on; None if there is none."""
        return self._entries.popleft() if self._entries else None

    async def wait(self) -> None:
        """Return when there is something to read. For one reader."""
        if not self._entries:
            self._entered = trio.Event()
            await self._entered.wait()
