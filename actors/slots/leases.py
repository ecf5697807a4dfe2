"""How a replica's slots are lent to its processes. Pure.

Each process grants slots by itself out of its lease, which is a number of slots; only one that
has used up its lease asks for more. So a request costs no message between processes, and the
limit holds all the same: the leases together never exceed it.

What one process has to spare while another has need is asked back, half of it at a time, before
anybody is refused.
"""

from __future__ import annotations

import msgspec


class Kept(msgspec.Struct, frozen=True):
    """What a process has, as it knows."""

    turn: int
    """Counts up with each."""
    size: int
    """Of its lease."""
    used: int
    settled: int
    """The number of its last request that it has an answer to, or has given up on."""


class _Lease(msgspec.Struct):
    size: int = 0
    used: int = 0
    """As told last."""
    answered: int = 0
    """The number of its last request that was answered."""
    last: int = 0
    """How many slots that answer granted."""
    turn: int = 0
    """Of what it told last."""


class Leases:
    """At most ``limit`` slots, lent to processes.

    Sizes are absolute numbers, and requests and what is told are numbered by who makes them: so
    an answer that is lost, late or given up on neither strands a slot nor lends one twice.

    Args:
        limit: slots of the replica.
        soft_ratio: the part of them from which it is ``degraded`` (``decision 13``).
        sharers: how many processes there are to have a lease.
    """

    def __init__(self, limit: int, soft_ratio: float, sharers: int) -> None:
        self.resize(limit, soft_ratio)
        self.lost = 0
        """Streams that ended with their process: the slots in use there, as it told last."""
        self._sharers = sharers
        self._leases: dict[str, _Lease] = {}

    def __repr__(self) -> str:
        return f"<Leases {self.lent} of {self.limit}, {len(self)} in use>"

    def __len__(self) -> int:
        return sum(lease.used for lease in self._leases.values())

    @property
    def lent(self) -> int:
        """Slots that some process has, in use or not."""
        return sum(lease.size for lease in self._leases.values())

    @property
    def above_soft_limit(self) -> bool:
        """Whether ``/health`` should say ``degraded`` (``decision 13``)."""
        return len(self) >= self.soft_limit

    def resize(self, limit: int, soft_ratio: float) -> None:
        """Another limit from now on. What is lent above it comes back as it is asked for."""
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self.limit = limit
        self.soft_limit = max(1, int(limit * soft_ratio))

    def lend(self, process: str, number: int, heard: int) -> int | None:
        """The new size of the lease of ``process``; None if there is nothing to lend.

        ``number`` is that of its request, ``heard`` that of the last one it had an answer to:
        what was granted since then it gave up on, and does not have.
        """
        lease = self._leases.setdefault(process, _Lease())
        if heard != lease.answered:
            lease.size -= lease.last
        free = self.limit - self.lent
        # Half of a fair share of what is free: the first comes to much, the last to one by one.
        more = max(min(free, 1), free // (2 * self._sharers))
        lease.answered, lease.last = number, max(more, 0)
        lease.size += lease.last
        return lease.size if more > 0 else None

    def answered(self, process: str) -> int:
        """The number of the last request of ``process`` that was answered."""
        lease = self._leases.get(process)
        return 0 if lease is None else lease.answered

    def has(self, process: str) -> bool:
        """Whether ``process`` ever had a lease, and has not ended since."""
        return process in self._leases

    def keep(self, process: str, kept: Kept) -> None:
        """Note what ``process`` says that it has. What a grant under way adds, it adds."""
        lease = self._leases.get(process)
        if lease is None or kept.turn <= lease.turn:
            return  # it has ended since, or has said something newer
        lease.turn, lease.used = kept.turn, kept.used
        if kept.settled >= lease.answered:
            lease.last = 0
        lease.size = kept.size + lease.last

    def bereave(self, process: str) -> int:
        """``process`` has ended, and with it its lease; how many slots were in use there."""
        lease = self._leases.pop(process, None)
        lost = 0 if lease is None else lease.used
        self.lost += lost
        return lost

    def by_process(self) -> dict[str, int]:
        """How many slots are in use in each process."""
        return {process: lease.used for process, lease in self._leases.items()}
