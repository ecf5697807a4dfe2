"""The actor ``drain`` of a worker: has it drain when its host says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sluice.engine import Actor, Mailbox, handler

from .place import Drain


class Drainer(Actor):
    """Calls ``drain``; answers when that has returned."""

    mailbox = Mailbox(capacity=4)

    def __init__(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain

    @handler
    async def drain(self, _message: Drain) -> None:
        """Drain. Idempotent: a worker that has drained does so at once."""
        await self._drain()
