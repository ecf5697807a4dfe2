"""The stream below a link: read as it comes, written at once where that takes no waiting."""

from __future__ import annotations

import os
from typing import Final, Protocol

import trio

READ: Final = 32768
"""Bytes read at a time: some hundred frames are handled before other tasks get their turn."""


class Wire(Protocol):
    """What a link needs of a stream."""

    async def read(self) -> bytes | bytearray:
        """What has come; nothing if the peer has closed it."""

    async def write(self, data: bytes) -> None:
        """Write all of ``data``. Raises `trio.BrokenResourceError`, `trio.ClosedResourceError`."""

    def write_nowait(self, data: bytes) -> int:
        """Write what takes no waiting, and be it nothing; how many bytes. Never raises."""


class StreamWire:
    """Over any stream of trio: nothing is written without a task that may wait."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self) -> bytes | bytearray:
        """See `Wire`."""
        try:
            return await self._stream.receive_some(READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def write(self, data: bytes) -> None:
        """See `Wire`."""
        await self._stream.send_all(data)

    def write_nowait(self, _data: bytes) -> int:
        """See `Wire`."""
        return 0


class SocketWire(StreamWire):
    """Over a socket: waits first and reads then, where trio tries, fails, waits and reads."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self._socket = stream.socket

    async def read(self) -> bytes | bytearray:
        """See `Wire`."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return os.read(self._socket.fileno(), READ)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""

    def write_nowait(self, data: bytes) -> int:
        """See `Wire`. A fault is found by who writes next, and waits."""
        try:
            return os.write(self._socket.fileno(), data)
        except OSError:
            return 0


def wire_of(stream: trio.abc.Stream) -> Wire:
    """The cheapest way to use ``stream``."""
    return SocketWire(stream) if isinstance(stream, trio.SocketStream) else StreamWire(stream)
