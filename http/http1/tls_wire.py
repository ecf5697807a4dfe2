"""A client's connection over TLS, as bytes.

TLS has no reading without a task: one reads ahead as long as the connection lives, and tells
who watches. The pump cannot write here (``direct`` is False).
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.http.edge_settings import PIPELINE_LIMIT

from .wire import RECEIVE_SIZE, RESET

Stream = trio.SSLStream[trio.SocketStream]

RECORD = 16 * 1024
"""Bytes of a TLS record: what one wait of `TLSWire.send` is for."""


class TLSWire:
    """A `Wire` over an SSL stream. `read_ahead` has to run beside it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._socket = stream.transport_stream.socket
        self._ahead = b""
        self._changed = trio.Event()
        self._wakes = 0
        self._torn = False
        self._on_left: Callable[[], None] | None = None
        self.left = False

    @property
    def direct(self) -> bool:
        """False: bytes for the client have to pass TLS."""
        return False

    @property
    def fd(self) -> int:
        """The descriptor; -1 once closed."""
        return self._socket.fileno()

    def take(self) -> bytes:
        """What was read ahead."""
        ahead, self._ahead = self._ahead, b""
        self._change()
        return ahead

    def push(self, data: bytes) -> None:
        """Give back what was not used."""
        self._ahead = data + self._ahead

    async def receive(self) -> bytes:
        """Some bytes; ``b""`` when the client has left."""
        wakes = self._wakes
        while not (self._ahead or self.left or self._wakes != wakes):
            await self._changed.wait()
        return self.take()

    async def wait_left(self) -> None:
        """Return when the client has left, or `wake` was called."""
        wakes = self._wakes
        while not (self.left or self._wakes != wakes):
            await self._changed.wait()

    def wake(self) -> None:
        """End a `wait_left` or `receive` that waits now."""
        self._wakes += 1
        self._change()

    def look(self) -> bool:
        """Whether the client has left."""
        return self.left

    def has_bytes(self) -> bool:
        """Whether bytes are there to be received."""
        return bool(self._ahead)

    def send_nowait(self, data: bytes | memoryview) -> int:  # noqa: ARG002 -- as `Wire` has it
        """Takes nothing: only `send` passes TLS."""
        return 0

    async def send(self, data: bytes, timeout: float) -> None:
        """Write all; each record has ``timeout`` seconds."""
        rest = memoryview(data)
        while rest:
            if self.left or self._torn:
                raise ClientLeft
            await self._send_record(rest[:RECORD], timeout)
            rest = rest[RECORD:]

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` once when the client has left."""
        if self.left:
            on_left()
        else:
            self._on_left = on_left

    def unwatch(self) -> None:
        """Forget the callback."""
        self._on_left = None

    def give_up(self) -> None:
        """End a `send` that waits, and close."""
        if self._torn:
            self.abort()

    def abort(self) -> None:
        """Close at once, without a close_notify."""
        self._on_left = None
        self._leave()
        self._socket.close()

    def reset(self) -> None:
        """Close at once with a TCP reset."""
        if self.fd >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.abort()

    async def finish(self) -> None:
        """Send a close_notify and a FIN."""
        try:
            with trio.move_on_after(1):
                await self._stream.unwrap()
            self._socket.shutdown(socket.SHUT_WR)
        except (
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.BusyResourceError,
            OSError,
        ):
            self._leave()

    async def read_ahead(self) -> None:
        """Read until the client leaves, at most `PIPELINE_LIMIT` ahead of who takes it."""
        while not self.left:
            if len(self._ahead) >= PIPELINE_LIMIT:
                await self._changed.wait()
                continue
            try:
                data = await self._stream.receive_some(RECEIVE_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if data:
                self._ahead += data
                self._change()
            else:
                self._leave()

    async def _send_record(self, record: memoryview, timeout: float) -> None:
        self._torn = True
        with trio.move_on_after(timeout) as scope:
            try:
                await self._stream.send_all(record)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._leave()
                raise ClientLeft from None
        if scope.cancelled_caught:
            raise ClientStalled
        self._torn = False

    def _leave(self) -> None:
        self.left = True
        self._change()
        on_left, self._on_left = self._on_left, None
        if on_left is not None:
            on_left()

    def _change(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
