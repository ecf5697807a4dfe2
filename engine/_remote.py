"""References to actors of other processes: ``name@process``."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import trio
from trio.lowlevel import current_task, wait_task_rescheduled

from ._errors import ActorStopped, AskTimeout, ProcessGone, UnknownMessage
from ._latency import Latency
from ._message import Message
from ._ref import ASK_TIMEOUT, Ref
from ._request import Request, Timer
from ._waits import Waiter, blocked_actor, current_actor

if TYPE_CHECKING:
    from ._far import Outgoing
    from ._link import Link
    from ._links import Links

R = TypeVar("R")


class RemoteRef(Ref):
    """The address of an actor of another process; it outlives that process.

    It promises what `Ref` does, and where two processes make a difference, this: an ask whose
    asker has gone is not handled there, if it had not begun; when the link ends, all asks fail at
    once with `ProcessGone`; what is told while there is no link is a dead letter here, and what
    is told by `tell_nowait` to a mailbox that is full, or to no actor, is one there. Messages need
    to be in the links' `Protocol` (else `UnknownMessage`) and to fit into a frame
    (`FrameTooLarge`). An exception that the handler declares is a `RemoteActorError`.
    """

    __slots__ = ("_links", "_path", "_process", "timeouts")

    def __init__(self, links: Links, path: str, process: str) -> None:
        super().__init__(f"{path}@{process}")
        self._links = links
        self._path = path
        self._process = process
        self.timeouts = 0
        """Counted where all asks to the process are."""

    @property
    def latency(self) -> Latency:
        """That of all asks to the process."""
        return self._links.counts_of(self._process).latency

    async def ask(self, message: Message[R], *, timeout: float = ASK_TIMEOUT) -> R:
        """See `Ref.ask`."""
        timer = self._links.timer
        if timer is None:
            raise ActorStopped(self.path, f"{self.path}: the system that asks is not open")
        link = self._link(message)
        asker = None if current_actor.get() is None else blocked_actor()
        if asker is not None:
            return await self._ask_as(asker, timer, link, message, timeout)
        request = Request(message, self, current_task(), timeout)
        number = link.ask(request, self._path, ())
        if timeout != inf:
            timer.add(request, trio.current_time() + timeout)
        try:
            await wait_task_rescheduled(request.abandon)
        finally:
            if number in link.pending:
                link.forget(number)
        if request.error is not None:
            self._raise(link, request)
        answer: R = request.reply
        request.reply = None  # the timer keeps the request for a while: not what may be large
        return answer

    async def _ask_as(
        self, asker: Waiter, timer: Timer, link: Link, message: Message[R], timeout: float
    ) -> R:
        """Ask as an actor that handles nothing else until the reply comes. Raises `AskCycle`."""
        outgoing = self._links.waits.wait(asker, f"{self._path}@{link.identity}")
        try:
            request = Request(message, self, current_task(), timeout)
            number = link.ask(request, self._path, outgoing.chain)
            outgoing.sent(link, number)
            if timeout != inf:
                timer.add(request, trio.current_time() + timeout)
            reply: R = await self._answer(link, number, request)
        finally:
            outgoing.end()
        return reply

    async def tell(self, message: Message[Any]) -> None:
        """See `Ref.tell`. Returns when the message is in the mailbox."""
        await trio.lowlevel.checkpoint_if_cancelled()
        asker = None if current_actor.get() is None else blocked_actor()
        try:
            link = self._link(message)
            if asker is None:
                await self._tell(link, message, None)
                return
            outgoing = self._links.waits.wait(asker, f"{self._path}@{link.identity}")
            try:
                await self._tell(link, message, outgoing)
            finally:
                outgoing.end()
        except ProcessGone as gone:
            self._bury(message, gone)
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _tell(self, link: Link, message: Message[Any], outgoing: Outgoing | None) -> None:
        await link.room()
        if link.ended.is_set():
            raise link.gone(self.path)
        request = Request(message, self, current_task(), 0)
        if outgoing is None:
            number = link.tell(request, self._path, ())
        else:
            outgoing.update()
            number = link.tell(request, self._path, outgoing.chain)
            outgoing.sent(link, number)
        await self._answer(link, number, request)

    def tell_nowait(self, message: Message[Any]) -> None:
        """See `Ref.tell_nowait`; it is the link that can be full."""
        try:
            link = self._link(message)
        except ProcessGone as gone:
            self._bury(message, gone)
        else:
            link.tell_nowait(self.path, self._path, message)

    def _link(self, message: Message[Any]) -> Link:
        if message.__class__ not in self._links.protocol:
            kind = type(message).__name__
            raise UnknownMessage(self.path, f"{self.path}: {kind} is not in the links' protocol")
        link = self._links.routes.get(self._process)
        if link is None:
            raise ProcessGone(self.path, f"{self.path}: there is no link to {self._process}")
        return link

    async def _answer(self, link: Link, number: int, request: Request) -> Any:
        try:
            await wait_task_rescheduled(request.abandon)
        finally:
            link.forget(number)
        if request.error is not None:
            self._raise(link, request)
        reply, request.reply = request.reply, None
        return reply

    def _raise(self, link: Link, request: Request) -> NoReturn:
        error = request.take_error()
        link.counts.timeouts += isinstance(error, AskTimeout)
        raise error

    def _bury(self, message: Message[Any], gone: ProcessGone) -> None:
        self._links.counts_of(self._process).dead_letters += 1
        self._links.bury(self.path, message, str(gone))
