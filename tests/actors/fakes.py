"""Fakes for what a stream touches: a poller, a provider's connection, a client. No sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from sluice.actors.failures import ClientLeft, ClientStalled, UpstreamFault
from sluice.actors.settings import LimitSettings

UNLIMITED = LimitSettings(ip=None, user=None, token=None)
"""For services of which all is asked from one address, and nothing about limits."""


class FakePoller:
    """An epoll set on which the test says what is ready."""

    def __init__(self) -> None:
        self.registered: set[int] = set()
        self.ready: dict[int, Callable[[], bool]] = {}
        self.woken = trio.Event()
        self.closed = False
        self.fault: Exception | None = None

    def watch(self, fd: int, ready: Callable[[], bool]) -> None:
        self.ready[fd] = ready

    def poke(self) -> None:
        self.woken.set()

    def register(self, fd: int, *, hangup_only: bool = False) -> None:
        self.registered.add(fd)
        self.poke()

    def unregister(self, fd: int) -> None:
        self.registered.remove(fd)

    def poll(self, most: int) -> list[tuple[int, int]]:
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return [(fd, 1) for fd in sorted(self.registered) if self._is_ready(fd)][:most]

    def _is_ready(self, fd: int) -> bool:
        return self.ready.get(fd, lambda: False)()

    async def wait(self) -> None:
        while self.fault is None and not any(self._is_ready(fd) for fd in self.registered):
            self.woken = trio.Event()
            await self.woken.wait()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self.closed = True


class FakeUpstream:
    """A provider's connection that says what the test lets it say."""

    def __init__(self, poller: FakePoller, fd: int = 7) -> None:
        self.fd = fd
        self.complete = False
        self._poller = poller
        self._said: deque[bytes | UpstreamFault | Exception] = deque()
        self._end_after_said = False
        poller.watch(fd, lambda: bool(self._said))
        self._arrived = trio.Event()
        self.closed = trio.Event()

    def say(self, *data: bytes | Exception) -> None:
        self._said.extend(data)
        self._arrived.set()
        self._poller.poke()

    def end(self, data: bytes = b"") -> None:
        self._end_after_said = True
        self.say(data)

    def close(self) -> None:
        self.closed.set()
        self._arrived.set()

    def receive_nowait(self) -> bytes:
        if self.closed.is_set():
            raise trio.ClosedResourceError
        if not self._said:
            raise BlockingIOError
        said = self._said.popleft()
        if isinstance(said, Exception):
            raise said
        if self._end_after_said and not self._said:
            self.complete = True
        return said

    async def receive(self) -> bytes:
        while not (self._said or self.closed.is_set()):
            self._arrived = trio.Event()
            await self._arrived.wait()
        await trio.lowlevel.checkpoint()
        return self.receive_nowait()


class FakeClient:
    """A client whose socket takes ``room`` bytes before it is full."""

    def __init__(self, *, direct: bool = True, room: int = 1 << 30) -> None:
        self.direct = direct
        self.room = room
        self.received = b""
        self.head: tuple[int, dict[bytes, bytes]] | None = None
        self.ended = False
        self.aborted = False
        self.left = False
        self.sending = False
        self.roomier = trio.Event()
        self._on_left: Callable[[], None] | None = None

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        assert self.head is None
        self.head = (status, dict(headers))

    def frame(self, payload: bytes) -> bytes:
        return payload

    def send_nowait(self, data: bytes) -> int:
        assert self.direct
        assert self.head is not None
        assert not self.ended
        if self.left:
            raise ClientLeft
        taken = min(len(data), self.room)
        self.room -= taken
        self.received += data[:taken]
        return taken

    async def send(self, data: bytes, timeout: float) -> None:
        assert self.head is not None
        assert not self.ended
        while data:
            if self.left:
                raise ClientLeft
            taken = min(len(data), self.room)
            self.room -= taken
            self.received += data[:taken]
            data = data[taken:]
            if data:
                self.sending = True
                with trio.move_on_after(timeout) as waiting:
                    await self.roomier.wait()
                self.sending = False
                if waiting.cancelled_caught:
                    raise ClientStalled

    async def end(self, data: bytes, timeout: float) -> None:
        await self.send(data, timeout)
        self.ended = True

    async def respond(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, timeout: float
    ) -> None:
        self.start(status, headers)
        await self.end(body, timeout)

    def give_up(self) -> None:
        if self.sending:
            self.abort()
            self.left = True
            self.make_room(0)

    def abort(self) -> None:
        self.aborted = True

    def leave(self) -> None:
        self.left = True
        if self._on_left is not None:
            self._on_left()

    def make_room(self, room: int) -> None:
        self.room = room
        self.roomier.set()
        self.roomier = trio.Event()

    def watch(self, on_left: Callable[[], None]) -> None:
        self._on_left = on_left
        if self.left:
            on_left()

    def unwatch(self) -> None:
        self._on_left = None
