"""What a connection writes to and reads from: a socket, or TLS on one (`tls`).

A wire never waits by itself: what cannot be done now raises `BlockingIOError`, and whoever owns
the wire waits for its descriptor, as a task (`wait_readable`) or in the pump's epoll set.
"""

from __future__ import annotations

import socket
from typing import Final, Protocol

import trio

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes of one read: what a fast provider has ready, and little enough to share the pump."""


class Wire(Protocol):
    """Bytes to and from one peer."""

    @property
    def fd(self) -> int:
        """The descriptor to wait for; -1 when closed."""

    @property
    def holds_bytes(self) -> bool:
        """Whether `recv` may have something though the descriptor is silent."""

    def recv(self, size: int, /) -> bytes:
        """One read. Empty at the peer's end of file.

        Raises `BlockingIOError` (nothing there yet), `OSError`, `UpstreamFault` ("tls", "cut").
        """

    def send(self, data: bytes | memoryview, /) -> int:
        """Write what is taken now, at least one byte of ``data``; else `BlockingIOError`."""

    async def wait_readable(self) -> None:
        """Return when `recv` may have something."""

    async def wait_writable(self) -> None:
        """Return when `send` may take something."""

    def is_quiet(self) -> bool:
        """Whether the peer has neither said anything (of its own accord) nor closed."""

    def hang_up(self) -> None:
        """Take no more from the peer: the descriptor is readable from now on, `recv` empty."""

    def close(self) -> None:
        """Close at once. Idempotent."""

    def abandon(self) -> None:
        """Close what nobody has or waits for any more, from anywhere."""


class PlainWire:
    """A connected, non-blocking socket, which it owns. ``recv``, ``send`` are the socket's own."""

    __slots__ = ("_socket", "recv", "send")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.recv = connected.recv
        self.send = connected.send

    @property
    def fd(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def holds_bytes(self) -> bool:
        """Never."""
        return False

    async def wait_readable(self) -> None:
        """Wait for bytes or an end of file."""
        await trio.lowlevel.wait_readable(self._socket)

    async def wait_writable(self) -> None:
        """Wait for room in the socket's buffer."""
        await trio.lowlevel.wait_writable(self._socket)

    def is_quiet(self) -> bool:
        """Look, and take nothing out."""
        return nothing_to_read(self._socket)

    def hang_up(self) -> None:
        """Shut the reading side (tcp(7): the descriptor polls readable from then on)."""
        shut_reading(self._socket)

    def close(self) -> None:
        """Close the socket; a task that waits for it gets `trio.ClosedResourceError`."""
        close_socket(self._socket)

    def abandon(self) -> None:
        """Close the socket."""
        self._socket.close()


def nothing_to_read(connected: socket.socket) -> bool:
    """Neither a byte, nor an end of file, nor an error."""
    try:
        connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def shut_reading(connected: socket.socket) -> None:
    """Make ``connected`` readable for good. A connection that is gone already is readable too."""
    try:
        connected.shutdown(socket.SHUT_RD)
    except OSError:
        return


def close_socket(connected: socket.socket) -> None:
    """Close ``connected`` under whoever waits for it."""
    if connected.fileno() != -1:
        trio.lowlevel.notify_closing(connected)
        connected.close()
