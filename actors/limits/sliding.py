"""A limit in a sliding window, exactly: a log of what was accepted. Pure: time is an argument.

A request is accepted if fewer than the limit were accepted in the window that ends with it. So
no window, wherever it begins, holds more than the limit; nobody who stays below it is refused;
and one who was idle has all of it at once. The price is a number a request that still counts:
that is why `settings.Rate` bounds the limit.

The store runs the same algorithm (`script`); this one counts where there is no store.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

import msgspec

from sluice.actors.settings import Rate

MOST_CALLERS: Final = 20_000
"""Callers that one process remembers; beyond, who has called least recently is forgotten."""

MOST_TIMES: Final = 200_000
"""Likewise requests, of all callers together: about 7 MB."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of one request."""

    accepted: bool
    limit: int
    remaining: int
    """Requests that would be accepted now, after this one."""
    wait: float
    """Seconds until the oldest request that counts leaves the window, and makes room for one."""


class SlidingLog:
    """When one caller's requests were accepted, the oldest first."""

    __slots__ = ("times",)

    def __init__(self) -> None:
        self.times: deque[float] = deque()

    def take(self, limit: int, window: float, now: float) -> Verdict:
        """Accept a request or not. ``now``: in seconds, on a clock that never goes back."""
        times = self.times
        while times and times[0] <= now - window:
            times.popleft()
        if len(times) < limit:
            times.append(now)
            return Verdict(True, limit, limit - len(times), times[0] + window - now)
        # After a limit was lowered there may be more than one that has to leave.
        return Verdict(False, limit, 0, times[len(times) - limit] + window - now)


class LocalCounts:
    """The logs of the callers that a process knows: bounded, whoever calls."""

    def __init__(self, most_callers: int = MOST_CALLERS, most_times: int = MOST_TIMES) -> None:
        self._most_callers = most_callers
        self._most_times = most_times
        self._logs: OrderedDict[tuple[str, str, int], SlidingLog] = OrderedDict()
        """By kind, name and window; the one that called last is the last."""
        self._times = 0

    def __repr__(self) -> str:
        return f"<LocalCounts of {len(self)} callers, {self._times} requests>"

    def __len__(self) -> int:
        return len(self._logs)

    def take(self, kind: str, name: str, rate: Rate, share: int, now: float) -> Verdict:
        """Accept a request or not, within one of ``share`` parts of ``rate``; of one at the least.

        ``share``: how many count on their own.
        """
        key = (kind, name, rate.seconds)
        log = self._logs.pop(key, None) or SlidingLog()
        before = len(log.times)
        verdict = log.take(max(1, rate.count // share), rate.seconds, now)
        self._times += len(log.times) - before
        self._logs[key] = log
        self._forget(now)
        return verdict

    def _forget(self, now: float) -> None:
        """Let go of who has nothing that counts, and of who has called least recently."""
        while self._logs:
            key = next(iter(self._logs))
            log = self._logs[key]
            full = len(self._logs) > self._most_callers or self._times > self._most_times
            if not full and log.times and log.times[-1] > now - key[2]:
                return
            if len(self._logs) == 1 and full:
                return  # the one that calls now, all of whose requests count
            del self._logs[key]
            self._times -= len(log.times)
