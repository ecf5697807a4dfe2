"""The connection manager of a replica with several workers: lends its slots to them.

Promises:

* No more than ``limit`` streams hold a slot, in all processes together.
* Nobody is refused while any worker that answers has a slot to spare. One that does not answer
  within `PATIENCE` is passed by for `DEAF` seconds, and costs nobody more than that.
* When a process ends, whatever its streams held is free.
* A restart of this actor neither loses a slot nor lends one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import trio

from sluice.engine import Actor, ActorError, Mailbox, Message, Ref, handler

from .connections import Count, SlotsInUse
from .leases import Kept, Leases

PATIENCE: Final = 0.5
"""Seconds for a worker to give back what it has to spare. It takes less than a thousandth of that,
but one that accepts hundreds of connections at once, on a machine that is busy, must not count as
one that hangs: somebody would be refused while there is a slot."""

DEAF: Final = 5.0
"""Seconds for which a worker that did not do so is not asked again."""


class Lent(msgspec.Struct, frozen=True, tag=True):
    """The lease of who asked has this size now."""

    size: int


class NothingToLend(msgspec.Struct, frozen=True, tag=True):
    """All slots of the replica are in use."""


class Borrow(Message[Lent | NothingToLend], frozen=True):
    """More slots for ``process``. ``number``, ``heard``: see `Leases.lend`."""

    process: str
    number: int
    heard: int


class Has(Message[None], frozen=True):
    """What ``process`` has."""

    process: str
    kept: Kept


class Spare(Message[Has], frozen=True):
    """Give back half of what is not in use. ``answered``: the last request that had an answer."""

    answered: int


class Look(Message[Has], frozen=True):
    """What the worker has, now."""


class Shrink(Message[None], frozen=True):
    """The limit was lowered: have the workers give back what they do not use."""


class Lender(Actor):
    """The actor ``connections`` of a host.

    Args:
        leases: who has what, kept by the factory from one incarnation to the next.
        borrowers: the processes that can be asked to give back, and where each is asked.
    """

    mailbox = Mailbox(capacity=1024)

    def __init__(self, leases: Leases, borrowers: Callable[[], Mapping[str, Ref]]) -> None:
        self._leases = leases
        self._borrowers = borrowers
        self._deaf: dict[str, float] = {}
        """Until when each process is not asked."""
        self._refused = 0

    @handler
    async def borrow(self, message: Borrow) -> Lent | NothingToLend:
        """Lend what is free; if nothing is, what others have to spare."""
        size = self._lend(message)
        if size is None:
            await self._collect(message.process)
            if self._leases.has(message.process):  # else it has ended meanwhile
                size = self._lend(message)
        if size is None:
            self._refused += 1
            return NothingToLend()
        return Lent(size)

    @handler
    def has(self, message: Has) -> None:
        """Note it."""
        self._leases.keep(message.process, message.kept)

    @handler
    async def shrink(self, _message: Shrink) -> None:
        """Until no more is lent than the limit, or nobody has any to spare."""
        before = -1
        while self._leases.limit < self._leases.lent != before:
            before = self._leases.lent
            await self._collect("")

    @handler
    async def count(self, _message: Count) -> SlotsInUse:
        """What is in use now, in all workers that answer."""
        await self._ask_all(lambda _: Look())
        return self.statistics()

    def statistics(self) -> SlotsInUse:
        """A snapshot, of what the workers told last."""
        leases = self._leases
        return SlotsInUse(
            len(leases),
            leases.limit,
            leases.soft_limit,
            leases.above_soft_limit,
            self._refused,
            leases.lost,
        )

    def _lend(self, message: Borrow) -> int | None:
        return self._leases.lend(message.process, message.number, message.heard)

    async def _collect(self, need: str) -> None:
        """Have all but ``need`` give back of what they do not use."""
        await self._ask_all(lambda process: Spare(self._leases.answered(process)), need)

    async def _ask_all(self, question: Callable[[str], Message[Has]], but: str = "") -> None:
        """Ask all workers but one what they have, each for at most `PATIENCE`, and note it."""
        now = trio.current_time()
        self._deaf = {process: until for process, until in self._deaf.items() if until > now}
        async with trio.open_nursery() as nursery:
            for process, ref in self._borrowers().items():
                if process != but and process not in self._deaf:
                    nursery.start_soon(self._ask, process, ref, question(process))

    async def _ask(self, process: str, ref: Ref, question: Message[Has]) -> None:
        try:
            self.has(await ref.ask(question, timeout=PATIENCE))
        except ActorError:
            self._deaf[process] = trio.current_time() + DEAF
