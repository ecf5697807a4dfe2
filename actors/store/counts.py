"""What is counted of the store's use, for whoever renders metrics."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, Literal

import msgspec

Outcome = Literal["answered", "refused", "lost", "passed_by"]
"""``refused``: the store answered with an error; ``lost``: it is not known what became of it."""

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Upper bounds of the latency's buckets in seconds; the budget of a request is 0.05."""


class Counts(msgspec.Struct):
    """Counted since the start of the process."""

    answered: int = 0
    refused: int = 0
    lost: int = 0
    passed_by: int = 0
    faults: int = 0
    """Times that a server was found to be of no use, however many operations that has cost."""
    connects: int = 0
    """Connections that worked."""
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Asks that were answered, by how long that took."""
    seconds: float = 0.0
    """That those took together."""

    def answer(self, operations: int, seconds: float) -> None:
        """Operations that were answered together."""
        self.answered += operations
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def outcomes(self) -> dict[Outcome, int]:
        """The operations by what became of them."""
        return {
            "answered": self.answered,
            "refused": self.refused,
            "lost": self.lost,
            "passed_by": self.passed_by,
        }
