"""A connection for one task that waits in the store itself, such as for a queue's next item."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from .dial import converse
from .errors import LinkFailed, StoreRefused, StoreUnavailable
from .link import shorten
from .operation import Op
from .replies import Reply

GRACE: Final = 1.0
"""Seconds for an answer to arrive after the store has waited as long as it was told to."""


class BlockingConnection:
    """One at a time; opened when it is needed first, and again after it broke."""

    def __init__(self, dial: Callable[[], Awaitable[trio.abc.Stream]]) -> None:
        self._dial = dial
        self._stream: trio.abc.Stream | None = None
        self._busy = False

    async def run(self, op: Op, timeout: float) -> Any:
        """The answer to ``op``, which waits in the store for ``timeout`` seconds at most.

        Raises `StoreUnavailable` (back off before the next one) or `StoreRefused`. Cancelled, it
        closes the connection: what the store has handed out meanwhile is lost with it.
        """
        if self._busy:
            raise trio.BusyResourceError("another task waits on this connection")
        self._busy = True
        try:
            reply = await self._converse(op, timeout)
        except LinkFailed as problem:
            raise StoreUnavailable(str(problem)) from problem
        finally:
            self._busy = False
        if isinstance(reply, Reply):
            raise StoreRefused(shorten(reply))
        return reply

    async def _converse(self, op: Op, timeout: float) -> object:
        if self._stream is None:
            self._stream = await self._dial()
        try:
            with trio.move_on_after(timeout + GRACE):
                return await converse(self._stream, op)
            raise LinkFailed("the store did not answer in time")  # noqa: TRY301 -- closed below
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GRACE):
                await self.close()
            raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)
