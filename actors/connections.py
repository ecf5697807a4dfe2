"""The connection manager: grants the slots of this replica, and takes them back.

Promises:

* No more than ``limit`` streams hold a slot; the next one is refused with a time to come back.
* A slot is given back once, whatever path its stream took.
* Who holds a slot is known beyond an incarnation: a restart neither loses a slot nor grants one
  twice, also while the streams drain.
* When a process ends, whatever its streams held is free.
"""

from __future__ import annotations

import msgspec
import trio

from sluice.engine import Actor, ActorError, Mailbox, Message, Ref, handler

from .returns import Returns
from .slots import Slots

RETRY = 0.1
"""Seconds until another try, when what was returned cannot be told."""

RETRY_AFTER = 1.0
"""Seconds after which one who was refused may find a slot: most streams end within a few."""


class Granted(msgspec.Struct, frozen=True, tag=True):
    """The stream holds a slot until it gives it back."""


class Refused(msgspec.Struct, frozen=True, tag=True):
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
    """A slot for ``stream``, which lives in ``process``. Idempotent."""

    stream: str
    process: str = ""


class Released(Message[None], frozen=True):
    """Streams of another process need their slots no more. Idempotent."""

    streams: list[str]


class Count(Message[SlotsInUse], frozen=True):
    """How many slots are taken."""


class Connections(Actor):
    """The actor ``connections``.

    Args:
        slots: who holds one, kept by the factory from one incarnation to the next.
        returns: where streams of this process give theirs back, and where those who know say
            that another process has ended. No mailbox can be too full for that.
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
        if not self._slots.take(message.stream, message.process):
            self._refused += 1
            return Refused(RETRY_AFTER)
        return Granted()

    @handler
    def released(self, message: Released) -> None:
        """Take back."""
        self._slots.give_back_all(message.streams)

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
        for process in self._returns.take_ended():
            self._slots.bereave(process)
        self._slots.give_back_all(self._returns.take())


class Returner(Actor):
    """The actor ``returns`` of a worker: tells the host's manager what slots are free again."""

    mailbox = Mailbox(capacity=16)

    def __init__(self, returns: Returns, connections: str) -> None:
        self._returns = returns
        self._connections = connections

    async def on_start(self) -> None:
        """Tell for ever."""
        self.context.spawn(send_back, self._returns, self.context.ref(self._connections))


async def send_back(returns: Returns, connections: Ref) -> None:
    """Tell ``connections``, in another process, what is put into ``returns``; for ever."""
    while True:
        await returns.wait()
        names = returns.take()
        try:
            await connections.tell(Released(names))
        except ActorError:
            for name in names:
                returns.put(name)
            await trio.sleep(RETRY)
