"""How much a benchmark does: enough for steady figures, or just enough to see that it works."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of all measurements."""

    rounds: int
    """Of each figure that is compared with another."""
    seconds: float
    """Of load in one round."""
    answers: int
    """Of each of the 32 streams in one round of ``first-chunk``."""
    streams: int
    """That are open at once."""
    pause: int
    """Seconds between two chunks of an open stream."""
    asks: int
    """In one round, to an actor of the same process or of another one."""
    operations: int
    """Of the store, in one round."""
    crowds: int
    """Of 64 streams that spread over two workers, a way of opening them."""
    callers: int
    """Each with a key of the limiter's."""
    scrapes: int
    """In one round."""
    leavings: int


FULL = Plan(
    rounds=5,
    seconds=4,
    answers=24,
    streams=5000,
    pause=5,
    asks=5000,
    operations=10_000,
    crowds=5,
    callers=100_000,
    scrapes=100,
    leavings=50,
)
QUICK = Plan(
    rounds=1,
    seconds=1,
    answers=2,
    streams=200,
    pause=1,
    asks=500,
    operations=1000,
    crowds=1,
    callers=10_000,
    scrapes=10,
    leavings=5,
)
