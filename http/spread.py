"""How long streams are spread over the workers that accept at the same sockets.

Whoever is quickest accepts, and long streams would pile up on it. So the workers of a replica
share a page of memory, in which each writes how many connections it is busy with; and one that
is clearly above the average leaves what waits to the others, for a moment.

That never holds a client up for long, whatever becomes of the others:

* Who has not written for `STALE` seconds, because it is dead, stopped or hangs, is no part of the
  average; nor is who has ended, or accepts no more.
* Who would only refuse is left out too, and leaves what waits to the others: refusing is quick,
  and a worker that does nothing else would be the least busy, and draw every connection.
* After `PATIENCE` seconds whatever still waits is accepted by whoever sees it.

Each number is one aligned word, written by one process. One that is read while it is written may
at worst be an old one, with the same bounds.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

BEAT: Final = 0.2
"""Seconds between two signs of life of a worker that is idle."""
STALE: Final = 1.0
"""Seconds after which who gave none is left out."""
PATIENCE: Final = 0.1
"""Seconds that a connection waits for others before one that is above the average takes it."""
LOOK_EVERY: Final = 0.002
"""Seconds between two looks at whether it still waits."""
ALLOWANCE: Final = 1.0
"""Connections that one may always be above the average."""
MARGIN: Final = 1 / 20
"""And how far, as a part of the average. (64 streams on two workers: 34 and 30.)"""

_WORDS: Final = 3
"""Of a place: whose it is, how busy it is, and when that was written (nanoseconds)."""
_OWNER, _LOAD, _BEAT = range(_WORDS)
_WORD: Final = 8
_REFUSES: Final = -1
"""In place of how busy it is: it accepts, but would only refuse."""


def is_clearly_above(own: int, others: Sequence[int]) -> bool:
    """Whether a worker with ``own`` connections leaves new ones to ``others``."""
    if not others:
        return False
    average = (own + sum(others)) / (1 + len(others))
    return own - average > max(ALLOWANCE, MARGIN * average)


def make_page(places: int) -> int:
    """The descriptor of a page for so many workers; nobody has taken a place."""
    descriptor = os.memfd_create("sluice-spread")
    os.ftruncate(descriptor, places * _WORDS * _WORD)
    return descriptor


class Spread:
    """One worker's place in the page, and its view of the others'.

    Whoever takes a place that somebody has, as a new worker does while its predecessor drains,
    has it from then on: what the other writes is left out.

    Args:
        descriptor: of the page; not closed.
        place: this worker's, from 0.
        owner: a number above 0 that its predecessors in the place did not have.
        clock: nanoseconds, by a clock that all workers share.
    """

    def __init__(
        self,
        descriptor: int,
        place: int,
        owner: int,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._words = memoryview(self._memory).cast("q")
        self._mine = place * _WORDS
        self._owner = owner
        self._clock = clock
        self.load = 0
        """How many connections this worker is busy with, as it knows."""
        self.room = sys.maxsize
        """How many more it would let in, as it was last told; the others do not know."""
        self._takes = True
        self._accepts = False

    def __repr__(self) -> str:
        return f"<Spread {self.load}, others {self.others()}>"

    def open(self) -> None:
        """Take the place: from now on this worker accepts."""
        self._accepts = True
        self._words[self._mine + _OWNER] = self._owner
        self._put()

    def close(self) -> None:
        """Accept no more; the place is free, unless somebody has it by now."""
        if self._is_mine():
            self._words[self._mine + _OWNER] = 0
        self._accepts = False

    def write(self, load: int, *, takes: bool = True, room: int = sys.maxsize) -> None:
        """Give a sign of life, and tell the others how many connections this worker is busy with.

        ``takes``: whether a new one has anything to hope for here but a refusal. ``room``: how
        many more have, at most.
        """
        self.load = load
        self.room = room
        self._takes = takes
        self._put()

    def count_accepted(self) -> None:
        """One more, at once: before it is looked at, others may decide."""
        self.load += 1
        self._put()

    def others(self) -> list[int]:
        """How busy those others are that accept, live, and would not only refuse."""
        words, oldest = self._words, self._clock() - int(STALE * 1e9)
        return [
            words[at + _LOAD]
            for at in range(0, len(words), _WORDS)
            if at != self._mine
            and words[at + _OWNER]
            and words[at + _LOAD] != _REFUSES
            and words[at + _BEAT] >= oldest
        ]

    def leaves(self) -> bool:
        """Whether new connections are left to others now."""
        others = self.others()
        return is_clearly_above(self.load, others) if self._takes else bool(others)

    def _put(self) -> None:
        if self._is_mine():
            self._words[self._mine + _LOAD] = self.load if self._takes else _REFUSES
            self._words[self._mine + _BEAT] = self._clock()

    def _is_mine(self) -> bool:
        return self._accepts and self._words[self._mine + _OWNER] == self._owner
