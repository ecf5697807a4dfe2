"""A connection without TLS that costs a piece each way no more than its system call.

trio's own stream passes the scheduler with every send, and looks before every wait for what has
not come yet. For a store that answers one request at a time, that is most of what an operation
costs its client.
"""

from __future__ import annotations

import socket
from typing import Final

import trio

PIECE: Final = 64 * 1024
"""Bytes received at a time unless more are asked for."""


class PlainStream(trio.abc.Stream):
    """A connected socket. Sending is no checkpoint while the socket takes the bytes.

    One task sends and one receives, at a time. Both raise OSError when the connection breaks, and
    `trio.ClosedResourceError` when it was closed.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        """Takes the socket of ``stream``, which is of no use afterwards."""
        self._socket = socket.socket(fileno=stream.socket.detach())
        self._socket.setblocking(False)

    def __repr__(self) -> str:
        return f"<PlainStream {self._socket.fileno()}>"

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``; waits where the peer does not read. Cancelled, a part may be sent."""
        self._open()
        sent = self.send_nowait(data)
        if sent == len(data):
            return
        with memoryview(data) as rest:
            while sent < len(data):
                await trio.lowlevel.wait_writable(self._open())
                sent += self.send_nowait(rest[sent:])

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """Send what the socket takes without waiting, and be it nothing; how many bytes.

        Not while a task is in `send_all`.
        """
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    async def wait_send_all_might_not_block(self) -> None:
        """Return when the socket takes bytes."""
        await trio.lowlevel.wait_writable(self._open())

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, when something has; empty: the peer sends no more."""
        while True:
            await trio.lowlevel.wait_readable(self._open())
            try:
                return self._socket.recv(PIECE if max_bytes is None else max_bytes)
            except BlockingIOError:  # woken for nothing, which epoll(7) allows
                continue

    async def aclose(self) -> None:
        """Close it; whoever waits for it gets `trio.ClosedResourceError`. Idempotent."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket.fileno())
            self._socket.close()
        await trio.lowlevel.checkpoint()

    def _open(self) -> int:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            raise trio.ClosedResourceError("this stream was closed")
        return descriptor
