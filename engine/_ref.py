"""References: addresses that outlive the actors behind them.

A reference promises the same wherever its actor lives; `LocalRef` leads to an actor of this
process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from trio.lowlevel import current_task, wait_task_rescheduled

from ._errors import MailboxFull
from ._message import Message
from ._request import Request
from ._waits import Waiter, blocked_actor, current_actor

if TYPE_CHECKING:
    from ._cell import Cell

R = TypeVar("R")

ASK_TIMEOUT: Final = 5.0
"""Seconds an ask may take unless it says otherwise, as ``gen_server:call`` has it."""


class Ref(ABC):
    """The address of one actor."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}>"

    @abstractmethod
    async def ask(self, message: Message[R], *, timeout: float = ASK_TIMEOUT) -> R:
        """Send ``message`` and return its reply; ``timeout`` seconds at most.

        A message whose asker has gone (timed out or cancelled) before its turn came is not
        handled; one that is being handled then, is, and its late reply is dropped and counted.

        Raises `ActorStopped`, `ActorCrashed`, `MailboxFull`, `AskTimeout`, `AskCycle`,
        `UnknownMessage`, or an exception that the handler declares as a reply.
        """

    @abstractmethod
    async def tell(self, message: Message[Any]) -> None:
        """Send ``message``, as soon as there is room for it, and expect no reply.

        What is told to a stopped actor becomes a dead letter. Raises `AskCycle` if there is no
        room, and waiting for it would be waiting for oneself.
        """

    @abstractmethod
    def tell_nowait(self, message: Message[Any]) -> None:
        """`tell`, but raises `MailboxFull` when there is no room."""


class LocalRef(Ref):
    """The address of an actor of this process."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.path)
        self._cell = cell

    async def ask(self, message: Message[R], *, timeout: float = ASK_TIMEOUT) -> R:
        """See `Ref.ask`."""
        cell = self._cell
        asker = None if current_actor.get() is None else blocked_actor()
        if asker is not None:
            cell.check_asker(asker)
        request = Request(message, cell, current_task(), timeout)
        cell.accept_request(request)
        if timeout != inf:
            cell.timer.add(request, trio.current_time() + timeout)
        if asker is None:
            await wait_task_rescheduled(request.abandon)
        else:
            begin_to_wait(asker, cell)
            try:
                await wait_task_rescheduled(request.abandon)
            finally:
                end_to_wait(asker, cell)
        if request.error is not None:
            raise request.take_error()
        reply: R = request.reply
        request.reply = None  # the timer keeps the request for a while: not what may be large
        return reply

    async def tell(self, message: Message[Any]) -> None:
        """See `Ref.tell`."""
        cell = self._cell
        await trio.lowlevel.checkpoint_if_cancelled()
        if cell.accept(message):
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        asker = blocked_actor()
        if asker is None:
            await cell.accept_when_room(message)
            return
        cell.check_asker(asker)
        begin_to_wait(asker, cell)
        try:
            await cell.accept_when_room(message)
        finally:
            end_to_wait(asker, cell)

    @property
    def cell(self) -> Cell:
        """What lives behind the address; for the engine."""
        return self._cell

    def tell_nowait(self, message: Message[Any]) -> None:
        """See `Ref.tell_nowait`."""
        if not self._cell.accept(message):
            raise MailboxFull(self.path, f"{self.path}: the mailbox is full")


def begin_to_wait(asker: Waiter, cell: Cell) -> None:
    """Note that ``asker``'s handler waits for ``cell``; so do other processes, if it is theirs."""
    asker.waits_for.append(cell)
    if cell.waits_for:
        cell.runtime.waits_changed(cell)


def end_to_wait(asker: Waiter, cell: Cell) -> None:
    """Note that it waits no more."""
    asker.waits_for.remove(cell)
    if cell.waits_for:
        cell.runtime.waits_changed(cell)
