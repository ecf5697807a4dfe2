"""What a worker holds of bodies that are still coming: bounded, however many come at a time.

Each body has its limit, but their sum has none: whoever opens connections and keeps back the last
byte of each could fill the memory. Beyond a limit for all, bodies go, first the one of which most
was held for longest: its bytes, times the seconds for which its client has let us wait. Who sends
as fast as it can has let nobody wait, and is the last.
"""

from __future__ import annotations

from typing import Protocol

import trio


class Arriving(Protocol):
    """A body that is not complete."""

    def waited(self, now: float) -> float:
        """Seconds for which its client has let us wait."""

    def hurry(self) -> None:
        """It has had its time: no more of it is waited for."""


class Bodies:
    """Those of one server. ``limit``: bytes in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Arriving, int] = {}
        self._total = 0

    def __repr__(self) -> str:
        return f"<Bodies: {self._total} bytes of {len(self._held)}>"

    def hold(self, body: Arriving, count: int) -> None:
        """So many bytes more of ``body`` are held; others, or itself, are hurried to make room."""
        self._held[body] = self._held.get(body, 0) + count
        self._total += count
        now = trio.current_time()
        while self._total > self._limit:
            dearest = max(self._held, key=lambda each: self._held[each] * each.waited(now))
            self.drop(dearest)
            dearest.hurry()

    def drop(self, body: Arriving) -> None:
        """It is complete, or nobody wants it. Idempotent."""
        self._total -= self._held.pop(body, 0)
