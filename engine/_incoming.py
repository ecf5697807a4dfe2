"""What the peer of a link asks and tells: taken in like local mail, and answered over the link."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.lowlevel import Task, current_task

from ._errors import (
    ActorError,
    ActorStopped,
    AskCycle,
    AskTimeout,
    MalformedMessage,
    UnknownMessage,
    UnknownPath,
)
from ._frame import Ask, FrameError, Taken, Tell, Waits
from ._message import Message
from ._request import Request

if TYPE_CHECKING:
    from ._cell import Cell
    from ._far import Hold
    from ._link import Link

TOO_MANY: Final = 2
"""Times the asks that one end may have in flight; a peer with more does not keep the rules."""


class Unread(Message[None], frozen=True):
    """A message that could not be read, as a dead letter: its type, and its size in bytes."""

    kind: str
    size: int


class Incoming(Request):
    """An ask of the peer: to the actor like any other; its reply goes over the link."""

    __slots__ = ("_desk", "_number", "hold")

    def __init__(self, desk: Desk, frame: Ask, message: Message[Any], cell: Cell) -> None:
        # Its task only says that somebody waits: it is the reader's, and never rescheduled here.
        super().__init__(message, cell, desk.task, frame.seconds)
        self._desk = desk
        self._number = frame.number
        self.hold: Hold | None = None
        """Who waits for it, if actors do."""

    def answer(self, reply: object) -> bool:
        """Send the reply; False if nobody waits for it any more."""
        if not self.close():
            return False
        if self.began is not None:
            self.clock(self.began)
        self._desk.link.reply(self._number, self.addressee.path, self.message, reply)
        return True

    def fail(self, error: Exception) -> bool:
        """Send ``error``; False if nobody waits any more."""
        if not self.close():
            return False
        if self.began is not None:
            self.clock(self.began)
        if not isinstance(error, AskTimeout):  # the asker has a clock of its own
            self._desk.link.fail(self._number, self.addressee.path, self.message, error)
        return True

    def close(self) -> bool:
        """Nobody waits any more; False if nobody did."""
        if self.task is None:
            return False
        self.task = None
        self._desk.asks.pop(self._number, None)
        if self.hold is not None:
            self.hold.release()
        return True


class Waiting:
    """A tell of the peer that waits for room."""

    __slots__ = ("_desk", "_frame", "_message", "cell", "hold", "scope")

    def __init__(self, desk: Desk, frame: Tell, message: Message[Any], cell: Cell) -> None:
        self._desk = desk
        self._frame = frame
        self._message = message
        self.cell = cell
        self.hold: Hold | None = None
        self.scope = trio.CancelScope()

    def fail(self, error: Exception) -> None:
        """Wait no more, and tell the peer why."""
        self.scope.cancel()
        self._desk.refuse_tell(self._frame, self._message, error)

    async def run(self) -> None:
        """Put it in as soon as there is room."""
        desk, frame = self._desk, self._frame
        try:
            with self.scope:
                await self.cell.accept_when_room(self._message)
                desk.taken(frame.number)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.fail(ActorStopped(self.cell.path, f"{self.cell.path}: its system has ended"))
        finally:
            del desk.tells[frame.number]
            if self.hold is not None:
                self.hold.release()


class Desk:
    """Where one link's incoming asks and tells are kept until they are answered."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.asks: dict[int, Incoming] = {}
        self.tells: dict[int, Waiting] = {}
        self.task: Task
        self._nursery: trio.Nursery

    def open(self, nursery: trio.Nursery) -> None:
        """Be used by this task, and have tells wait in ``nursery``."""
        self.task = current_task()
        self._nursery = nursery

    def ask(self, frame: Ask) -> None:
        """Put an ask into its actor's mailbox, or refuse it. Raises `FrameError`."""
        if not frame.seconds >= 0:
            raise FrameError("an ask with a negative time")
        message = self._open(frame)
        if message is not None:
            try:
                self._accept_ask(frame, message)
            except (ActorError, UnknownPath) as refusal:
                self.link.fail(frame.number, frame.path, message, refusal)

    def tell(self, frame: Tell) -> None:
        """Put what was told into its actor's mailbox, or refuse it. Raises `FrameError`."""
        message = self._open(frame)
        if message is not None:
            try:
                self._accept_tell(frame, message)
            except (ActorError, UnknownPath) as refusal:
                self.refuse_tell(frame, message, refusal)

    def cancel(self, number: int) -> None:
        """The peer's asker has gone."""
        incoming = self.asks.get(number)
        if incoming is not None:
            incoming.close()
        waiting = self.tells.get(number)
        if waiting is not None:
            waiting.scope.cancel()

    def waits(self, frame: Waits) -> None:
        """Other actors than before wait for this; if that closes a circle, it is an error."""
        found = self.asks.get(frame.number) or self.tells.get(frame.number)
        if found is None or found.hold is None:  # answered meanwhile
            return
        try:
            found.hold.change(frame.chain)
        except AskCycle as circle:
            found.fail(circle)

    def close(self) -> None:
        """The link has ended: nobody waits any more."""
        for incoming in list(self.asks.values()):
            incoming.close()
        for waiting in self.tells.values():
            waiting.scope.cancel()

    def _open(self, frame: Ask | Tell) -> Message[Any] | None:
        """The message in ``frame``; None if it cannot be read, and was refused."""
        number = frame.number
        if number in self.asks or number in self.tells:
            raise FrameError("a number that is in use")
        waiting = len(self.asks) + len(self.tells)
        if waiting >= TOO_MANY * self.link.options.in_flight:
            raise FrameError(f"more than {waiting} asks in flight")
        try:
            return self.link.links.protocol.decode_message(frame.path, frame.kind, frame.body)
        except (UnknownMessage, MalformedMessage) as refusal:
            self._refuse_unread(frame, refusal)
            return None

    def _accept_ask(self, frame: Ask, message: Message[Any]) -> None:
        links = self.link.links
        cell = links.cell(frame.path)
        incoming = Incoming(self, frame, message, cell)
        if frame.chain:
            incoming.hold = links.waits.hold(frame.chain, cell)
        try:
            cell.accept_request(incoming)
        except BaseException:
            if incoming.hold is not None:
                incoming.hold.release()
            raise
        self.asks[frame.number] = incoming
        if frame.seconds != inf:
            cell.timer.add(incoming, self.link.last_heard + frame.seconds)

    def _accept_tell(self, frame: Tell, message: Message[Any]) -> None:
        cell = self.link.links.cell(frame.path)
        if cell.accept(message):
            self.taken(frame.number)
        elif not frame.number:
            cell.bury(message, f"the mailbox was full when {self.link.process} told this")
        else:
            waiting = Waiting(self, frame, message, cell)
            if frame.chain:
                waiting.hold = self.link.links.waits.hold(frame.chain, cell)
            self.tells[frame.number] = waiting
            self._nursery.start_soon(waiting.run)

    def taken(self, number: int) -> None:
        """What was told is in the mailbox."""
        if number:
            self.link.send(Taken(number))

    def refuse_tell(self, frame: Tell, message: Message[Any], refusal: Exception) -> None:
        """Say why what was told is not taken, to who waits, or else to the dead letters."""
        if frame.number:
            self.link.fail(frame.number, frame.path, message, refusal)
        else:
            self.link.links.bury(frame.path, message, str(refusal))

    def _refuse_unread(self, frame: Ask | Tell, refusal: ActorError) -> None:
        self.link.counts.unreadable += 1
        unread = Unread(frame.kind, len(memoryview(frame.body)))
        if isinstance(frame, Tell):
            self.refuse_tell(frame, unread, refusal)
        else:
            self.link.fail(frame.number, frame.path, unread, refusal)
