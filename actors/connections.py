"""The connection manager: grants the slots of this replica, and takes them back.

Promises:

* No more than ``limit`` streams hold a slot; the next one is refused with a time to come back.
* A slot is given back once, whatever path its stream took.
* A new incarnation learns from the streams what they hold before it grants anything: a restart
  neither loses a slot nor grants one twice, also while the streams drain or are paused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from sluice.engine import Actor, Mailbox, Message, handler

from .returns import Returns
from .settings import ConnectionSettings
from .slots import Slots

RETRY_AFTER = 1.0
"""Seconds after which one who was refused may find a slot: most streams end within a few."""


class Granted(msgspec.Struct, frozen=True):
    """The stream holds a slot until it gives it back."""


class Refused(msgspec.Struct, frozen=True):
    """All slots are taken."""

    retry_after: float


class SlotsInUse(msgspec.Struct, frozen=True):
    """A snapshot."""

    active: int
    limit: int
    soft_limit: int
    above_soft_limit: bool
    refused: int


class Acquire(Message[Granted | Refused], frozen=True):
    """A slot for ``stream``. Idempotent."""

    stream: str


class Count(Message[SlotsInUse], frozen=True):
    """How many slots are taken."""


class Connections(Actor):
    """The actor ``connections``.

    Args:
        settings: how many slots there are.
        held: tells which streams hold one now. No message: a paused actor would not answer.
        returns: where streams give theirs back.
    """

    mailbox = Mailbox(capacity=16384)

    def __init__(
        self,
        settings: ConnectionSettings,
        held: Callable[[], Iterable[str]],
        returns: Returns,
    ) -> None:
        self._slots = Slots(settings.limit, settings.soft_ratio)
        self._held = held
        self._returns = returns
        self._refused = 0

    async def on_start(self) -> None:
        """Learn what is held. At the very first start nothing is."""
        self._returns.take()  # of slots that an earlier incarnation granted
        self._slots.adopt(self._held())

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
        for stream in self._returns.take():
            self._slots.give_back(stream)
