"""Which idle connection is used next, and which have to go: pure, time is an argument.

Last in, first out: the connection used last is the one least likely to have been closed by the
provider, and those at the bottom grow old and go when load falls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

C = TypeVar("C")


class IdlePool(Generic[C]):
    """Idle connections to one origin. It closes none: it returns those that are to be closed.

    Args:
        max_idle: connections kept.
        keepalive: seconds each is kept.
    """

    __slots__ = ("_idle", "_keepalive", "_max_idle")

    def __init__(self, max_idle: int, keepalive: float) -> None:
        self._max_idle = max_idle
        self._keepalive = keepalive
        self._idle: deque[tuple[float, C]] = deque()
        """The oldest first; ``now`` never goes back, so this is the order of expiry too."""

    def __len__(self) -> int:
        return len(self._idle)

    def __repr__(self) -> str:
        return f"<IdlePool {len(self._idle)} of {self._max_idle} idle>"

    def put(self, connection: C, now: float) -> C | None:
        """Keep ``connection``; returns one to close if there are too many, the oldest."""
        self._idle.append((now + self._keepalive, connection))
        return self._idle.popleft()[1] if len(self._idle) > self._max_idle else None

    def take(self, now: float) -> C | None:
        """The one used last, unless it has expired: then all have, and `expire` has them."""
        if not self._idle or self._idle[-1][0] <= now:
            return None
        return self._idle.pop()[1]

    def expire(self, now: float) -> list[C]:
        """Those that have idled for too long, taken out."""
        expired = []
        while self._idle and self._idle[0][0] <= now:
            expired.append(self._idle.popleft()[1])
        return expired

    def discard(self, is_useless: Callable[[C], bool]) -> list[C]:
        """Those that ``is_useless`` says so of, taken out."""
        useless = {id(each): each for _, each in self._idle if is_useless(each)}
        self._idle = deque(entry for entry in self._idle if id(entry[1]) not in useless)
        return list(useless.values())

    def clear(self) -> list[C]:
        """All of them, taken out."""
        everything = [connection for _, connection in self._idle]
        self._idle.clear()
        return everything
