"""The slots of a replica: who may stream. Pure (``seed 2.1``, ``decision 12``, ``decision 24``)."""

from __future__ import annotations

from collections.abc import Iterable


class Slots:
    """At most ``limit`` holders, each known by its stream's id.

    `take` and `give_back` are idempotent, so that a message that is told twice, or whose answer
    was lost, neither strands a slot nor grants one too many.
    """

    def __init__(self, limit: int, soft_ratio: float) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self.limit = limit
        self.soft_limit = max(1, int(limit * soft_ratio))
        self._holders: set[str] = set()

    def __repr__(self) -> str:
        return f"<Slots {len(self)} of {self.limit}>"

    def __len__(self) -> int:
        return len(self._holders)

    @property
    def above_soft_limit(self) -> bool:
        """Whether ``/health`` should say ``degraded`` (``decision 13``)."""
        return len(self._holders) >= self.soft_limit

    def take(self, holder: str) -> bool:
        """Whether ``holder`` has a slot now."""
        if holder not in self._holders and len(self._holders) >= self.limit:
            return False
        self._holders.add(holder)
        return True

    def give_back(self, holder: str) -> bool:
        """Whether ``holder`` had a slot."""
        if holder not in self._holders:
            return False
        self._holders.remove(holder)
        return True

    def adopt(self, holders: Iterable[str]) -> None:
        """Count what was granted before a restart, even above a limit that was lowered since."""
        self._holders.update(holders)
