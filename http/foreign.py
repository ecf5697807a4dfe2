"""Hypercorn's own protocol for one connection, its faults kept to itself."""

from __future__ import annotations

import select
from typing import Any, Final

import trio
from hypercorn.trio.tcp_server import TCPServer

_GONE: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL | select.POLLRDHUP


async def _stay(_request: object) -> None:
    """In place of Hypercorn's look at whether a request asks for another protocol."""


class ForeignConnection(TCPServer):
    """HTTP/1.1, for as long as its client is there or a request of its is under way.

    Where Hypercorn 0.18 does otherwise:

    * It holds one whose client has left open for the rest of ``keep_alive_timeout``, and its place
      among those that may be open with it. Here it ends when the last request has.
    * Once a client has pipelined a request behind a stream and left, its reader waits for ever for
      the end of the stream's answer, which has none. Here `reap` ends what is left.
    * Errors of a connection end the server, and all others with it: a malformed chunk that comes
      while the answer is being written makes it write twice at once. Here `sluice.http.server`
      contains them, and tells of them.
    * It goes over to HTTP/2 with whoever asks for that, and keeps without bound what such a client
      does not take. Here nobody is spoken to in HTTP/2.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        transport = getattr(self.stream, "transport_stream", self.stream)
        self._socket: trio.socket.SocketType = transport.socket
        self._scope = trio.CancelScope()
        self._left = False
        self._seen_gone = False

    async def run(self) -> None:
        """Serve until either side has had enough, or `reap` finds that nobody is there."""
        with self._scope:
            await super().run()

    def reap(self, now: float) -> None:
        """End what is left, if the client was gone the last time too: else it ends by itself."""
        del now
        gone = self._is_gone()
        if gone and self._seen_gone:
            self._scope.cancel()
        self._seen_gone = gone

    def close_idle(self) -> None:
        """Nothing: Hypercorn's own shutdown does it."""

    def _is_gone(self) -> bool:
        """Whether the client has closed, half or whole, or we have."""
        descriptor = self._socket.fileno()
        if descriptor < 0:
            return True
        look = select.poll()
        look.register(descriptor, select.POLLRDHUP)
        return any(events & _GONE for _, events in look.poll(0))

    async def _read_data(self) -> None:
        vars(self.protocol.protocol)["_check_protocol"] = _stay  # there is no setting for it
        await super()._read_data()
        self._left = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if not self._left:
            await super()._idle_timeout()
