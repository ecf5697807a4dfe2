"""Restart intensity: how many restarts in how many seconds. Pure: time is an argument."""

from __future__ import annotations

from collections import deque


class Intensity:
    """At most ``restarts`` within any ``period`` seconds (a sliding window)."""

    __slots__ = ("_times", "period", "restarts")

    def __init__(self, restarts: int, period: float) -> None:
        self.restarts = restarts
        self.period = period
        self._times: deque[float] = deque()

    def permit(self, now: float) -> bool:
        """Count a restart at ``now`` and say whether it is still within the intensity."""
        self._times.append(now)
        return self.within(now) <= self.restarts

    def within(self, now: float) -> int:
        """Restarts in the window that ends at ``now``."""
        while self._times and self._times[0] <= now - self.period:
            self._times.popleft()
        return len(self._times)

    def forget(self) -> None:
        """Begin anew, as a supervisor does that is started again."""
        self._times.clear()
