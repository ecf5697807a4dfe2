"""Company for a client that waits for the first byte of an answer, whoever is asked meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.actors.formats.sse import HEARTBEAT

if TYPE_CHECKING:
    from .stream import Stream


class Company:
    """Heartbeats for one client: a task, when its wait takes that long.

    While it is there it owns the way to the client; `leave` returns when it has given it back.
    """

    def __init__(self, stream: Stream, now: float) -> None:
        self._stream = stream
        self._every = stream.model.timeouts.heartbeat
        self._leaving: trio.CancelScope | None = None
        self._gone: trio.Event | None = None
        self.sent_at = now
        """When its client got something last."""
        self.heartbeat_at = now + self._every

    @property
    def writes(self) -> bool:
        """Whether the way to the client is its own just now."""
        return self._gone is not None and not self._gone.is_set()

    def begin(self) -> None:
        """The first heartbeat is due. Later ones are the task's own business."""
        self.heartbeat_at = float("inf")
        self._gone = trio.Event()
        self._leaving = trio.CancelScope()
        self._stream.services.spawn(self._keep, self._leaving, self._gone)

    async def leave(self) -> None:
        """Send no more; return when nothing of it is under way."""
        if self._leaving is not None and self._gone is not None:
            self._leaving.cancel()
            await self._gone.wait()

    async def _keep(self, leaving: trio.CancelScope, gone: trio.Event) -> None:
        client, timeout = self._stream.client, self._stream.model.timeouts.client_write
        try:
            with leaving:
                while True:
                    text = self._stream.start_events() + HEARTBEAT
                    with trio.CancelScope(shield=True):  # a write that was begun is ended
                        await client.send(client.frame(text), timeout)
                    self.sent_at = trio.current_time()
                    await trio.sleep(self._every)
        except (ClientLeft, ClientStalled) as reason:
            self._stream.interrupt(reason)
        finally:
            gone.set()
