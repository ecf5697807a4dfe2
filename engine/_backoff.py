"""How long to wait before a restart. Pure: time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Seconds before the first, second, third … restart in a row.

    The first restart comes after ``first`` (at once, so that waiting mail is hardly delayed), the
    second after ``base``, then ``factor`` times more each, never above ``limit``. A share of up to
    ``jitter`` of each delay is taken off by chance, so that what fell together does not rise
    together. An incarnation that stayed up for ``healthy`` seconds starts the row anew.
    """

    first: float = 0.0
    base: float = 0.1
    factor: float = 2.0
    limit: float = 10.0
    jitter: float = 0.2
    healthy: float = 10.0

    def __post_init__(self) -> None:
        """Reject nonsense. Raises `ValueError`."""
        if min(self.first, self.base, self.limit, self.healthy) < 0:
            raise ValueError("a backoff's seconds cannot be negative")
        if self.factor < 1:
            raise ValueError(f"a backoff's factor must be at least 1, not {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"a backoff's jitter is a share between 0 and 1, not {self.jitter}")


class Row:
    """The restarts of one child, in a row so far."""

    __slots__ = ("_backoff", "length")

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self.length = 0

    def next_delay(self, was_up: float, chance: Random) -> float:
        """Seconds before the next restart, of a child that was up for ``was_up`` seconds."""
        backoff = self._backoff
        if was_up >= backoff.healthy:
            self.length = 0
        self.length += 1
        if self.length == 1:
            delay = backoff.first
        else:
            exponent = min(self.length - 2, 64)
            delay = min(backoff.base * backoff.factor**exponent, backoff.limit)
        return delay * (1 - backoff.jitter * chance.random())
