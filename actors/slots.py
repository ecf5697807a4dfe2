"""The slots of a replica: who may stream. Pure (``seed 2.1``, ``decision 12``, ``decision 24``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class Slots:
    """At most ``limit`` holders, each known by its stream's id, each in one process.

    `take` and `give_back` are idempotent, so that a message that is told twice, or whose answer
    was lost, neither strands a slot nor grants one too many.
    """

    def __init__(self, limit: int, soft_ratio: float) -> None:
        self.resize(limit, soft_ratio)
        self._holders: dict[str, str] = {}
        """Each holder, and the process that it lives in."""

    def __repr__(self) -> str:
        return f"<Slots {len(self)} of {self.limit}>"

    def __len__(self) -> int:
        return len(self._holders)

    def resize(self, limit: int, soft_ratio: float) -> None:
        """Another limit from now on. Who holds a slot keeps it, also above the new limit."""
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self.limit = limit
        self.soft_limit = max(1, int(limit * soft_ratio))

    @property
    def above_soft_limit(self) -> bool:
        """Whether ``/health`` should say ``degraded`` (``decision 13``)."""
        return len(self._holders) >= self.soft_limit

    def take(self, holder: str, process: str = "") -> bool:
        """Whether ``holder``, which lives in ``process``, has a slot now."""
        if holder not in self._holders and len(self._holders) >= self.limit:
            return False
        self._holders[holder] = process
        return True

    def give_back(self, holder: str) -> bool:
        """Whether ``holder`` had a slot."""
        return self._holders.pop(holder, None) is not None

    def give_back_all(self, holders: Iterable[str]) -> None:
        """`give_back` for each of ``holders``."""
        for holder in holders:
            self.give_back(holder)

    def by_process(self) -> dict[str, int]:
        """How many slots are held in each process."""
        return Counter(self._holders.values())

    def bereave(self, process: str) -> int:
        """``process`` has ended, and with it all that held slots in it; how many those were."""
        gone = [holder for holder, home in self._holders.items() if home == process]
        self.give_back_all(gone)
        return len(gone)
