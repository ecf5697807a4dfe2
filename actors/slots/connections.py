"""The connection manager of one process: grants the slots of a replica, and takes them back.

Those of a replica with several workers are in `lending` and `borrowing`.

Promises:

* No more than ``limit`` streams hold a slot; the next one is refused with a time to come back.
* A slot is given back once, whatever path its stream took.
* Who holds a slot is known beyond an incarnation: a restart neither loses a slot nor grants one
  twice, also while the streams drain.
"""

from __future__ import annotations

import math

import msgspec

from sluice.engine import Actor, Mailbox, Message, handler

from .returns import Returns
from .slots import Slots

RETRY_AFTER = 1.0
"""Seconds after which one who was refused may find a slot: most streams end within a few."""


class Granted(msgspec.Struct, frozen=True, tag=True):
    """The stream holds a slot until it gives it back."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """All slots are taken; or, ``overloaded``, it could not be found out whether one is free."""

    retry_after: float
    overloaded: bool = False


class SlotsInUse(msgspec.Struct, frozen=True):
    """A snapshot."""

    active: int
    limit: int
    soft_limit: int
    above_soft_limit: bool
    refused: int
    lost: int = 0
    """Streams that ended with a worker that died. Of these nobody told how they ended."""


class Acquire(Message[Granted | Refused], frozen=True):
    """A slot for ``stream``, which came at ``at`` (`trio.current_time`). Idempotent."""

    stream: str
    at: float = math.inf


class Count(Message[SlotsInUse], frozen=True):
    """How many slots are taken."""


class Connections(Actor):
    """The actor ``connections``.

    Args:
        slots: who holds one, kept by the factory from one incarnation to the next.
        returns: where streams give theirs back. No mailbox can be too full for that.
    """

    mailbox = Mailbox(capacity=16384)

    def __init__(self, slots: Slots, returns: Returns) -> None:
        self._slots = slots
        self._returns = returns
        self._refused = 0

    @handler
    def acquire(self, message: Acquire) -> Granted | Refused:
        """Grant or refuse."""
        self._take_back()
        if not self._slots.take(message.stream):
            self._refused += 1
            return Refused(RETRY_AFTER)
        return Granted()

    @handler
    def count(self, _message: Count) -> SlotsInUse:
        """A snapshot."""
        return self.statistics()

    def statistics(self) -> SlotsInUse:
        """A snapshot."""
        self._take_back()
        slots = self._slots
        return SlotsInUse(
            len(slots), slots.limit, slots.soft_limit, slots.above_soft_limit, self._refused
        )

    def _take_back(self) -> None:
        self._slots.give_back(self._returns.take())
