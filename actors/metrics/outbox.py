"""What a process counted and another one has not taken yet. Pure.

A share is made in one step, from the tally that counts: whoever asked for it may have gone
meanwhile, and nothing is lost. It stays here until the other side says that it has it.

Shares are small, and so is what is given at once: with hundreds of models a process that was
not asked for a while would else have more to tell than a frame of a link holds.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .accounting import Load
from .merging import Extracted, Share
from .tally import Tally

WAITING: Final = 8
"""Shares on their way at once: more are not made before some were taken."""

CELLS: Final = 1000
"""Label sets in what is given at once. One has at most 500 bytes: two names of 200, a few
words, a dozen numbers; a frame has 1 MiB."""


class Given(msgspec.Struct, frozen=True):
    """The shares of ``process`` that may not have arrived, the oldest first."""

    process: str
    shares: list[Share]
    more: bool = False
    """There are others: ask again."""


class Outbox:
    """The shares of one process that are on their way. It outlives the actors around it."""

    def __init__(self, process: str = "") -> None:
        self.process = process
        self.shares: list[Share] = []
        self._number = 0
        self._is_behind = False
        """There was more to share than there was room for."""

    def __repr__(self) -> str:
        return f"<Outbox of {self.process!r}: {len(self.shares)} shares>"

    @property
    def has_room(self) -> bool:
        """Whether another share may be made."""
        return len(self.shares) < WAITING

    def fill(self, tally: Tally, load: Load) -> None:
        """Take out of ``tally`` what there is room for, as shares; the rest stays in it.

        ``load``: what ended since the last time.
        """
        while self.has_room:
            delta = tally.drain(CELLS)
            self._is_behind = delta.size >= CELLS
            gauges = None if self._is_behind else tally.gauges()
            self._put(Extracted(delta, gauges, load))
            load = Load()
            if not self._is_behind:
                return

    def give(self) -> Given:
        """As many of them as may be told at once."""
        cells, count = 0, 0
        for share in self.shares:
            cells += share.content.delta.size
            if count and cells > CELLS:
                break
            count += 1
        more = count < len(self.shares) or self._is_behind
        return Given(self.process, self.shares[:count], more)

    def taken(self, number: int) -> None:
        """Those up to ``number`` have arrived."""
        self.shares = [share for share in self.shares if share.number > number]

    def _put(self, content: Extracted) -> None:
        self._number += 1
        self.shares.append(Share(self._number, content))
