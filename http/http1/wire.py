"""A client's connection as bytes: received, sent, watched, closed. Errors of the OS end here.

`Wire` is what the protocol above is written against. `SocketWire` is a plain socket, with a
task only while something is waited for; ``tls_wire.py`` has the one for TLS.

A client that closes, half or whole, has left; so has one that resets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Protocol

import trio
from trio.lowlevel import notify_closing, wait_readable, wait_writable

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.actors.streams.pump import Watcher
from sluice.http.edge_settings import PIPELINE_LIMIT

RECEIVE_SIZE = 16 * 1024
"""Bytes asked for at once: an ordinary request's head and body come in one."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, no time; closing sends a reset."""


class Wire(Protocol):
    """One connection. ``left``: the client is known to have left, or we closed."""

    left: bool

    @property
    def direct(self) -> bool:
        """Whether `send_nowait` writes to a socket of its own."""

    @property
    def fd(self) -> int:
        """The descriptor; -1 once closed."""

    def take(self) -> bytes:
        """What was read ahead, and is now the caller's."""

    def push(self, data: bytes) -> None:
        """Give back what was read and not used. It comes first next time."""

    async def receive(self) -> bytes:
        """Some bytes, those read ahead first; ``b""`` when the client has left, or on `wake`."""

    async def wait_left(self) -> None:
        """Return when the client has left, or `wake` was called.

        Bytes are read ahead; with `PIPELINE_LIMIT` of them, the client is no longer read, and
        its leaving is seen when it is written to.
        """

    def wake(self) -> None:
        """End a `wait_left` or `receive` that waits now."""

    def look(self) -> bool:
        """Whether the client has left, found out now."""

    def has_bytes(self) -> bool:
        """Whether bytes are there to be received. Reads none."""

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Write what fits, at once; how many bytes. Raises `ClientLeft`."""

    async def send(self, data: bytes, timeout: float) -> None:
        """Write all, without a checkpoint if it fits; else each wait is bounded by ``timeout``.

        Raises `ClientLeft`, `ClientStalled`. Cancelled half-way, it leaves a wire that takes no
        more bytes: what came next would not join.
        """

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` once when the client has left; before returning, if it has."""

    def unwatch(self) -> None:
        """Forget `watch`'s callback."""

    def give_up(self) -> None:
        """End a `send` that waits with `ClientLeft`, and close: a part of it has left."""

    def abort(self) -> None:
        """Close at once."""

    def reset(self) -> None:
        """Close at once with a TCP reset."""

    async def finish(self) -> None:
        """Say that no more bytes follow (TCP FIN, TLS close_notify), and go on receiving."""


class SocketWire:
    """A plain socket, non-blocking. No task and no buffer of its own while nothing happens."""

    __slots__ = (
        "_ahead",
        "_fd",
        "_on_left",
        "_reading",
        "_socket",
        "_torn",
        "_watched",
        "_watcher",
        "_woken",
        "left",
    )

    def __init__(self, sock: socket.socket, watcher: Watcher) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._watcher = watcher
        self._watched = False
        self._on_left: Callable[[], None] | None = None
        self._ahead = b""
        self._reading = False
        self._torn = False
        self._woken: trio.Event | None = None
        self.left = False

    @property
    def direct(self) -> bool:
        """True: the pump may write to it."""
        return True

    @property
    def fd(self) -> int:
        """The descriptor; -1 once closed."""
        return self._fd

    def take(self) -> bytes:
        """What was read ahead."""
        ahead, self._ahead = self._ahead, b""
        return ahead

    def push(self, data: bytes) -> None:
        """Give back what was not used."""
        self._ahead = data + self._ahead

    async def receive(self) -> bytes:
        """Some bytes; ``b""`` when the client has left."""
        if self._ahead:
            return self.take()
        self._reading = True
        try:
            while not self.left and await self._readable():
                data = self._receive_nowait()
                if data is not None:
                    return data
        finally:
            self._reading = False
        return b""

    async def wait_left(self) -> None:
        """Return when the client has left, or `wake` was called."""
        woken = self._woken = trio.Event()
        try:
            while not (self.left or woken.is_set()):
                if len(self._ahead) >= PIPELINE_LIMIT:
                    await woken.wait()
                elif await self._readable():
                    self.look()
        finally:
            self._woken = None

    def wake(self) -> None:
        """End a `wait_left` or `receive` that waits now."""
        waiting = self._reading
        if self._woken is not None:
            self._woken.set()
            waiting = True
        if waiting and self._fd >= 0:
            notify_closing(self._fd)

    def look(self) -> bool:
        """Whether the client has left; bytes are read ahead, up to `PIPELINE_LIMIT`.

        Not from under a task that waits in `receive`: it would wait on.
        """
        if not (self.left or self._reading) and len(self._ahead) < PIPELINE_LIMIT:
            data = self._receive_nowait()
            if data:
                self._ahead += data
        return self.left

    def has_bytes(self) -> bool:
        """Whether bytes are there to be received. Reads none."""
        try:
            return bool(self._ahead or self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Write what fits."""
        if self.left or self._torn:
            raise ClientLeft
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.left = True
            raise ClientLeft from None

    async def send(self, data: bytes, timeout: float) -> None:
        """Write all."""
        sent = self.send_nowait(data)
        if sent < len(data):
            await self._send_rest(memoryview(data)[sent:], timeout)

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` once when the client has left."""
        if self.left or (not self._watched and self.look()):
            on_left()
            return
        self._on_left = on_left
        if self._watched:
            return  # since an earlier request: it has not hung up in between
        self._watched = True
        self._watcher.add_hangup(self._fd, self._on_hangup)

    def unwatch(self) -> None:
        """Forget the callback. The descriptor stays watched: the next request needs it again."""
        self._on_left = None

    def give_up(self) -> None:
        """End a `send` that waits, and close."""
        if self._torn:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        if self._fd < 0:
            return
        self.left = True
        self._on_left = None
        if self._watched:
            self._watched = False
            self._watcher.remove(self._fd)
        if self._woken is not None:
            self._woken.set()
        notify_closing(self._fd)
        if self._torn:  # what the kernel holds will not be taken: let it go with the connection
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._fd = -1
        self._socket.close()

    def reset(self) -> None:
        """Close at once with a TCP reset."""
        if self._fd >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.abort()

    async def finish(self) -> None:
        """Send a FIN."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.left = True

    def _receive_nowait(self) -> bytes | None:
        """Some bytes; ``b""`` when the client has left; None when there is nothing to read."""
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.left = True
        return data

    async def _readable(self) -> bool:
        """Wait for bytes; False when woken by `wake`, or by our own closing."""
        try:
            await wait_readable(self._fd)
        except (trio.ClosedResourceError, OSError):
            return False
        return True

    async def _send_rest(self, rest: memoryview, timeout: float) -> None:
        self._torn = True
        while rest:
            with trio.move_on_after(timeout) as scope:
                try:
                    await wait_writable(self._fd)
                except (trio.ClosedResourceError, OSError):
                    self.left = True
            if scope.cancelled_caught:
                raise ClientStalled
            self._torn = False
            rest = rest[self.send_nowait(rest) :]
            self._torn = bool(rest)

    def _on_hangup(self) -> None:
        """Called by the watcher, when the client has closed, half or whole, or has reset."""
        self._watched = False
        self._watcher.remove(self._fd)
        on_left, self._on_left = self._on_left, None
        if on_left is not None:
            self.left = True
            on_left()
        # Between two requests nobody asks; what was sent before the end is still read.
