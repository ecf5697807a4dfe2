"""Mailboxes: bounded, with a declared policy for what does not fit; everything is counted.

A mailbox is a trio memory channel that belongs to the supervisor, not to the actor: it lives as
long as the address, and each incarnation receives from a clone of its receiving end (trio drops
what is in a memory channel when its last receiver closes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import trio

from ._message import Message
from ._request import Request
from ._statistics import MailboxStatistics

Overflow = Literal["refuse", "drop_newest", "drop_oldest"]
Mail = Message[Any] | Request
"""What is in a mailbox: a message that was told, or the request of one that was asked."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What an actor declares of its mailbox.

    ``capacity`` is in messages. ``overflow`` says what happens to mail that does not fit:

    * ``"refuse"``: the sender gets `MailboxFull` (``ask``, ``tell_nowait``), or waits (``tell``);
    * ``"drop_newest"``: what is told is dropped; who asks gets `MailboxFull`;
    * ``"drop_oldest"``: what has waited longest is dropped; if it was asked, its asker gets
      `MailboxFull`.
    """

    capacity: int = 1024
    overflow: Overflow = "refuse"

    def __post_init__(self) -> None:
        """Reject nonsense. Raises `ValueError`."""
        if self.capacity < 1:
            raise ValueError(f"a mailbox holds at least one message, not {self.capacity}")
        if self.overflow not in ("refuse", "drop_newest", "drop_oldest"):
            raise ValueError(f"no such overflow policy: {self.overflow!r}")


class Box:
    """One mailbox, live."""

    __slots__ = (
        "_on_drop",
        "_receive",
        "_send",
        "accepted",
        "declared",
        "dropped",
        "path",
        "peak",
        "queued",
        "refused",
    )

    def __init__(self, path: str, declared: Mailbox, on_drop: Callable[[Mail, str], None]) -> None:
        self.path = path
        self.declared = declared
        self._on_drop = on_drop
        self._send, self._receive = trio.open_memory_channel[Mail](declared.capacity)
        self.queued = 0
        """Messages in the channel, those of senders that wait for room included."""
        self.accepted = 0
        self.refused = 0
        self.dropped = 0
        self.peak = 0

    def receiver(self) -> trio.MemoryReceiveChannel[Mail]:
        """A receiving end for one incarnation, to be closed with it."""
        return self._receive.clone()

    def put(self, mail: Mail) -> bool:
        """Put ``mail`` in; False: there is no room, and its sender must be told.

        A message that is dropped by policy counts as put; ``on_drop`` was called with it. The
        request of one who asks is never dropped silently.
        """
        try:
            self._send.send_nowait(mail)
        except trio.WouldBlock:
            return self._overflow(mail)
        self._count()
        return True

    async def put_when_room(self, mail: Mail) -> None:
        """Put ``mail`` in as soon as there is room."""
        self._count()
        try:
            await self._send.send(mail)
        except BaseException:  # only `Cancelled`, before it was put in
            self.queued -= 1
            self.accepted -= 1
            raise

    def drain(self) -> list[Mail]:
        """Take everything out, what senders wait to put in included."""
        taken: list[Mail] = []
        try:
            while True:
                taken.append(self._receive.receive_nowait())
        except trio.WouldBlock:
            self.queued = 0
        return taken

    def close(self) -> None:
        """Release the channel. What is in it is lost: `drain` first."""
        self._send.close()
        self._receive.close()

    def statistics(self, held: int) -> MailboxStatistics:
        """A snapshot; ``held`` messages wait outside of the channel."""
        return MailboxStatistics(
            capacity=self.declared.capacity,
            overflow=self.declared.overflow,
            waiting=self.queued + held,
            peak=self.peak,
            accepted=self.accepted,
            refused=self.refused,
            dropped=self.dropped,
        )

    def _count(self) -> None:
        self.accepted += 1
        self.queued += 1
        if self.queued > self.peak:  # noqa: PLR1730 -- `max` costs three times as much here
            self.peak = self.queued

    def _overflow(self, mail: Mail) -> bool:
        if self.declared.overflow == "refuse" or (
            self.declared.overflow == "drop_newest" and isinstance(mail, Request)
        ):
            self.refused += 1
            return False
        self.dropped += 1
        if self.declared.overflow == "drop_newest":
            self._on_drop(mail, "dropped: the mailbox is full (drop_newest)")
            return True
        oldest = self._receive.receive_nowait()
        self.queued -= 1
        self._send.send_nowait(mail)
        self._count()
        self._on_drop(oldest, "dropped: it made room for a newer message (drop_oldest)")
        return True
