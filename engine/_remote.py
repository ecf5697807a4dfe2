"""References to actors of other processes: ``name@process``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio.lowlevel import current_task, wait_task_rescheduled

from ._errors import AskTimeout, ProcessGone, UnknownMessage
from ._message import Message
from ._ref import ASK_TIMEOUT, Ref
from ._request import Request
from ._waits import blocked_actor, check, current_actor

if TYPE_CHECKING:
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

    async def ask(self, message: Message[R], *, timeout: float = ASK_TIMEOUT) -> R:
        """See `Ref.ask`."""
        link = self._link(message)
        request = Request(message, self, current_task(), timeout)
        with self._waiting(link) as chain:
            number = link.ask(request, self._path, chain)
            self._links.deadline(request)
            reply: R = await self._answer(link, number, request)
        return reply

    async def tell(self, message: Message[Any]) -> None:
        """See `Ref.tell`. Returns when the message is in the mailbox."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            link = self._link(message)
            with self._waiting(link) as chain:
                await link.room()
                if link.ended.is_set():
                    raise link.gone(self.path)
                request = Request(message, self, current_task(), 0)
                number = link.tell(request, self._path, chain)
                await self._answer(link, number, request)
        except ProcessGone as gone:
            self._bury(message, gone)
            await trio.lowlevel.cancel_shielded_checkpoint()

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
        return self._links.link_to(self._process, self.path)

    async def _answer(self, link: Link, number: int, request: Request) -> Any:
        try:
            await wait_task_rescheduled(request.abandon)
        finally:
            link.forget(number)
        if request.error is None:
            reply, request.reply = request.reply, None
            return reply
        error = request.take_error()
        link.counts.timeouts += isinstance(error, AskTimeout)
        raise error

    @contextmanager
    def _waiting(self, link: Link) -> Iterator[tuple[str, ...]]:
        """Have it known who waits; the chain that goes along. Raises `AskCycle`."""
        asker = None if current_actor.get() is None else blocked_actor()
        if asker is None:
            yield ()
            return
        waits = self._links.waits
        far = waits.use(f"{self._path}@{link.identity}")
        try:
            check(asker, far)
            asker.waits_for.append(far)
            try:
                yield waits.chain(asker)
            finally:
                asker.waits_for.remove(far)
        finally:
            waits.drop(far)

    def _bury(self, message: Message[Any], gone: ProcessGone) -> None:
        self._links.counts_of(self._process).dead_letters += 1
        self._links.bury(self.path, message, str(gone))
