"""What the peer of a link asks and tells: taken in like local mail, and answered over the link."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.lowlevel import current_task

from ._errors import ActorError, ActorStopped, AskTimeout, UnknownPath
from ._frame import Ask, FrameError, Taken, Tell
from ._message import Message
from ._request import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cell import Cell
    from ._link import Link

TOO_MANY: Final = 2
"""Times the asks that one end may have in flight; a peer with more does not keep the rules."""


class Incoming(Request):
    """An ask of the peer: to the actor like any other; its reply goes over the link."""

    __slots__ = ("_desk", "_number", "_release")

    def __init__(
        self, desk: Desk, frame: Ask, message: Message[Any], cell: Cell, release: Callable[[], None]
    ) -> None:
        # Its task only says that somebody waits: it is the reader's, and never rescheduled here.
        super().__init__(message, cell, current_task(), frame.seconds)
        self._desk = desk
        self._number = frame.number
        self._release = release

    def answer(self, reply: object) -> bool:
        """Send the reply; False if nobody waits for it any more."""
        if not self.close():
            return False
        self._desk.link.reply(self._number, self.addressee.path, self.message, reply)
        return True

    def fail(self, error: Exception) -> bool:
        """Send ``error``; False if nobody waits any more."""
        if not self.close():
            return False
        if not isinstance(error, AskTimeout):  # the asker has a clock of its own
            self._desk.link.fail(self._number, self.addressee.path, self.message, error)
        return True

    def close(self) -> bool:
        """Nobody waits any more; False if nobody did."""
        if self.task is None:
            return False
        self.task = None
        self._release()
        self._desk.asks.pop(self._number, None)
        return True


class Desk:
    """Where one link's incoming asks and tells are kept until they are answered."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.asks: dict[int, Incoming] = {}
        self.nursery: trio.Nursery | None = None
        self._tells: dict[int, trio.CancelScope] = {}

    def __len__(self) -> int:
        return len(self.asks) + len(self._tells)

    def ask(self, frame: Ask) -> None:
        """Put an ask into its actor's mailbox. Raises `ValueError` for what is malformed."""
        message = self._open(frame)
        if not frame.seconds >= 0:
            raise FrameError("an ask with a negative time")
        try:
            self._accept_ask(frame, message)
        except (ActorError, UnknownPath) as refusal:
            self.link.fail(frame.number, frame.path, message, refusal)

    def tell(self, frame: Tell) -> None:
        """Put what was told into its actor's mailbox. Raises as `ask`."""
        message = self._open(frame)
        try:
            self._accept_tell(frame, message)
        except (ActorError, UnknownPath) as refusal:
            self._refuse_tell(frame, message, refusal)

    def cancel(self, number: int) -> None:
        """The peer's asker has gone."""
        incoming = self.asks.get(number)
        if incoming is not None:
            incoming.close()
        scope = self._tells.get(number)
        if scope is not None:
            scope.cancel()

    def close(self) -> None:
        """The link has ended: nobody waits any more."""
        for incoming in list(self.asks.values()):
            incoming.close()
        for scope in self._tells.values():
            scope.cancel()

    def _open(self, frame: Ask | Tell) -> Message[Any]:
        if frame.number in self.asks or frame.number in self._tells:
            raise FrameError("a number that is in use")
        if len(self) >= TOO_MANY * self.link.options.in_flight:
            raise FrameError(f"more than {len(self)} asks in flight")
        return self.link.links.protocol.decode_message(frame.kind, frame.body)

    def _accept_ask(self, frame: Ask, message: Message[Any]) -> None:
        links = self.link.links
        cell = links.cell(frame.path)
        links.waits.check(frame.chain, cell)
        release = links.waits.hold(frame.chain, cell)
        incoming = Incoming(self, frame, message, cell, release)
        try:
            cell.accept_request(incoming)
        except BaseException:
            release()
            raise
        self.asks[frame.number] = incoming
        if frame.seconds != inf:
            cell.timer.add(incoming, trio.current_time() + frame.seconds)

    def _accept_tell(self, frame: Tell, message: Message[Any]) -> None:
        cell = self.link.links.cell(frame.path)
        if cell.accept(message):
            self._taken(frame.number)
        elif not frame.number:
            cell.bury(message, f"the mailbox was full when {self.link.process} told this")
        elif self.nursery is not None:
            self.link.links.waits.check(frame.chain, cell)
            scope = self._tells[frame.number] = trio.CancelScope()
            self.nursery.start_soon(self._accept_when_room, scope, frame, message, cell)

    async def _accept_when_room(
        self, scope: trio.CancelScope, frame: Tell, message: Message[Any], cell: Cell
    ) -> None:
        release = self.link.links.waits.hold(frame.chain, cell)
        try:
            with scope:
                await cell.accept_when_room(message)
                self._taken(frame.number)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            stopped = ActorStopped(cell.path, f"{cell.path}: its system has ended")
            self._refuse_tell(frame, message, stopped)
        finally:
            del self._tells[frame.number]
            release()

    def _taken(self, number: int) -> None:
        if number:
            self.link.send(Taken(number))

    def _refuse_tell(self, frame: Tell, message: Message[Any], refusal: Exception) -> None:
        if frame.number:
            self.link.fail(frame.number, frame.path, message, refusal)
        else:
            self.link.links.bury(frame.path, message, str(refusal))
