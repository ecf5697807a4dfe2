"""Hypercorn's own protocol for one connection, its faults kept to itself."""

from __future__ import annotations

from typing import Any

from hypercorn.trio.tcp_server import TCPServer


class ForeignConnection(TCPServer):
    """Ends once its client has left and no request of its is under way.

    Hypercorn 0.18 holds an idle one open for the rest of ``keep_alive_timeout``, and its place
    among those that may be open with it. And it lets errors out that end the server, and all
    other connections with it: a malformed chunk that comes while the answer is being written
    makes it write twice at once. Here one connection's fault ends that one, and is told.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._left = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if not self._left:
            await super()._idle_timeout()
