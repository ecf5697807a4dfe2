"""The slots of a replica: who may stream. Pure (``seed 2.1``, ``decision 12``, ``decision 24``)."""

from __future__ import annotations

from collections.abc import Iterable


class Holders:
    """At most ``limit`` holders, each known by its stream's id.

    `take` and `give_back` are idempotent, so that a message that is told twice, or whose answer
    was lost, neither strands a slot nor grants one too many.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """May be changed. Who holds a slot keeps it, also above the new limit."""
        self._holders: set[str] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} of {self.limit}>"

    def __len__(self) -> int:
        return len(self._holders)

    def take(self, holder: str) -> bool:
        """Whether ``holder`` has a slot now."""
        if holder not in self._holders and len(self._holders) >= self.limit:
            return False
        self._holders.add(holder)
        return True

    def give_back(self, holders: Iterable[str]) -> None:
        """They have no slot any more; who had none is passed over."""
        self._holders.difference_update(holders)


class Slots(Holders):
    """All slots of a replica, of which a part may be taken without concern."""

    def __init__(self, limit: int, soft_ratio: float) -> None:
        super().__init__(limit)
        self.resize(limit, soft_ratio)

    def resize(self, limit: int, soft_ratio: float) -> None:
        """Another limit from now on."""
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self.limit = limit
        self.soft_limit = max(1, int(limit * soft_ratio))

    @property
    def above_soft_limit(self) -> bool:
        """Whether ``/health`` should say ``degraded`` (``decision 13``)."""
        return len(self) >= self.soft_limit
