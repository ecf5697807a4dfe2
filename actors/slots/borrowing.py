"""The connection manager of a worker that is one of several: grants the slots that it was lent.

Promises:

* It grants no more than its lease; the rest is those of `lending`.
* A stream that gives up while a slot is borrowed for it gives that back before it has it: it is
  granted none.
* What a stream gives back may be granted again here at once, and is told to nobody, unless the
  worker is on its way out: then it goes back to the host at once.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import trio

from sluice.engine import Actor, ActorError, Mailbox, Ref, handler

from .connections import RETRY_AFTER, Acquire, Granted, Refused
from .leases import Kept
from .lending import Borrow, Has, Lent, Look, Spare
from .returns import Returns
from .slots import Holders

TELL: Final = 0.25
"""Seconds between two times that the host is told how many slots are in use."""

ASK: Final = 2.0
"""Seconds for the host to answer: it may have to ask others, see `lending.PATIENCE`."""

RETRY: Final = 0.1
"""Seconds until another try, when what is given back cannot be told."""


class Lease:
    """What a worker was lent, and who holds it. It outlives the incarnations of its actors.

    Args:
        process: the worker, as the host knows it.
        returns: where its streams give their slots back.
    """

    def __init__(self, process: str, returns: Returns) -> None:
        self.process = process
        self.slots = Holders(0)
        self._returns = returns
        self.number = self.heard = 0
        """Of the last request for more, and of the last one that had an answer."""
        self._asking = False
        self._settled = trio.Event()
        self._awaiting: str | None = None
        """For whom more is borrowed; None as soon as that one wants no slot any more."""
        self._turn = 0
        self.leaving = False
        """The worker ends: what is not in use goes back."""

    def __repr__(self) -> str:
        return f"<Lease {self.slots!r}{' leaving' if self.leaving else ''}>"

    def take(self, holder: str) -> bool:
        """Whether ``holder`` has a slot now."""
        self.take_back()
        taken = self.slots.take(holder)
        if taken:
            self._returns.poke()
        return taken

    def take_back(self) -> None:
        """Count what was returned as free."""
        returned = self._returns.take()
        self.slots.give_back(returned)
        if self._awaiting in returned:
            self._awaiting = None

    def is_wanted(self) -> bool:
        """Whether the stream for which was borrowed last still wants a slot."""
        self.take_back()
        return self._awaiting is not None

    def give_back(self, part: float) -> int:
        """Give back ``part`` of what is not in use, rounded up; how many slots that were."""
        self.take_back()
        spare = max(0, self.slots.limit - len(self.slots))
        given = math.ceil(spare * part)
        self.slots.limit -= given
        return given

    def kept(self) -> Has:
        """What there is now."""
        self._turn += 1
        settled = self.heard if self._asking else self.number
        return Has(self.process, Kept(self._turn, self.slots.limit, len(self.slots), settled))

    def leave(self) -> None:
        """The worker is on its way out."""
        self.leaving = True
        self._returns.poke()

    async def borrow(self, lender: Ref, holder: str) -> bool:
        """Whether the lease is larger now, for ``holder``. Raises `ActorError`. One at a time."""
        self.number += 1
        self._awaiting = holder
        self._asking, self._settled = True, trio.Event()
        try:
            reply = await lender.ask(Borrow(self.process, self.number, self.heard), timeout=ASK)
            self.heard = self.number
            if isinstance(reply, Lent):
                self.slots.limit = reply.size
            return isinstance(reply, Lent)
        finally:
            self._asking = False
            self._settled.set()
            self._returns.poke()  # also if nobody takes what was lent, the host hears of it

    async def settled(self, answered: int) -> None:
        """Return when the answer to request ``answered``, if that is on its way, has come."""
        if self._asking and self.number <= answered:
            await self._settled.wait()


class LeaseStatistics(msgspec.Struct, frozen=True):
    """A snapshot."""

    used: int
    size: int
    refused: int


class LeasedConnections(Actor):
    """The actor ``connections`` of a worker.

    Args:
        lease: kept by the factory from one incarnation to the next.
        lender: the address of the replica's own manager.
    """

    mailbox = Mailbox(capacity=16384)

    def __init__(self, lease: Lease, lender: str) -> None:
        self._lease = lease
        self._lender = lender
        self._none_left_at = -math.inf
        """When it was last asked for more, in vain."""
        self._refused = 0

    @handler
    async def acquire(self, message: Acquire) -> Granted | Refused:
        """Grant, or refuse. Borrows where the lease is used up.

        Who came before the last question that was asked in vain need not ask it again: so a flood
        of requests that have to be refused costs one question, and not as many as they are.
        """
        while not self._lease.take(message.stream):
            if message.at <= self._none_left_at:
                return self._refuse()
            asked_at = trio.current_time()
            try:
                lender = self.context.ref(self._lender)
                if not await self._lease.borrow(lender, message.stream):
                    self._none_left_at = asked_at
            except ActorError:
                return self._refuse(overloaded=True)
            if not self._lease.is_wanted():  # nobody hears this, nor would give a slot back
                return Refused(RETRY_AFTER)
        return Granted()

    def statistics(self) -> LeaseStatistics:
        """A snapshot."""
        self._lease.take_back()
        return LeaseStatistics(len(self._lease.slots), self._lease.slots.limit, self._refused)

    def _refuse(self, *, overloaded: bool = False) -> Refused:
        self._refused += 1
        return Refused(RETRY_AFTER, overloaded)


class Borrower(Actor):
    """The actor ``lease`` of a worker: tells the host what is in use, and gives back.

    It stands beside `LeasedConnections`, because that one waits for the host now and then, and
    must not be waited for then.
    """

    mailbox = Mailbox(capacity=64)

    def __init__(self, lease: Lease, returns: Returns, lender: str) -> None:
        self._lease = lease
        self._returns = returns
        self._lender = lender

    async def on_start(self) -> None:
        """Tell for ever."""
        self.context.spawn(keep_told, self._lease, self._returns, self.context.ref(self._lender))

    @handler
    def look(self, _message: Look) -> Has:
        """What there is now."""
        self._lease.take_back()
        return self._lease.kept()

    @handler
    async def spare(self, message: Spare) -> Has:
        """Give back half of what is not in use."""
        await self._lease.settled(message.answered)
        self._lease.give_back(0.5)
        return self._lease.kept()


async def keep_told(lease: Lease, returns: Returns, lender: Ref) -> None:
    """Tell ``lender`` what is in use, as long as anything is; for ever.

    A worker that leaves gives back what it does not use, as soon as that is so.
    """
    told: tuple[int, int] | None = (0, 0)  # None: it is not known what has arrived
    while True:
        if told is None or told[1] == 0 or lease.leaving:
            await returns.wait()
        else:
            await trio.sleep(TELL)
        given = lease.give_back(1.0 if lease.leaving else 0.0)
        now = (lease.slots.limit, len(lease.slots))
        if now == told and not given:  # what was lent since, and given back, the lender has not
            continue
        try:
            await lender.tell(lease.kept())
            told = now
        except ActorError:
            told = None
            await trio.sleep(RETRY)
            returns.poke()
