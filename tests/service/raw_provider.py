"""A provider whose every byte the test writes itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"

Serve = Callable[["Caller"], Awaitable[None]]


def said(text: str) -> bytes:
    """A chunk of OpenAI's with ``text`` in it, as an event."""
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()


def coded(payload: bytes) -> bytes:
    """One chunk of the transfer coding."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


class Caller:
    """One connection that the service made."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._read = b""

    async def request(self) -> bytes | None:
        """The next request, head and body; None if the service has closed."""
        while not (found := _whole(self._read)):
            data = await self.stream.receive_some(65536)
            if not data:
                return None
            self._read += data
        request, self._read = self._read[:found], self._read[found:]
        return request

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def closed(self) -> None:
        """Return when the service has closed the connection."""
        try:
            while await self.stream.receive_some(65536):
                pass
        except trio.BrokenResourceError:
            return


def _whole(data: bytes) -> int:
    """Bytes of the request at the start of ``data``; 0 if it is not complete."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return 0
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return len(head) + 4 + length if len(body) >= length else 0


class RawProvider:
    """Serves each connection by ``serve``, which a test sets. ``ended`` counts those that ended."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.serve: Serve
        self.connections = 0
        self.ended = 0

    async def run(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            await self.serve(Caller(stream))
        except trio.BrokenResourceError:
            pass  # the service closed while it was written to
        finally:
            self.ended += 1

    def answers(self, *pieces: bytes) -> None:
        """Have every request be answered with ``pieces``, then wait for the service to close."""

        async def serve(caller: Caller) -> None:
            while await caller.request() is not None:
                for piece in pieces:
                    await caller.say(piece)

        self.serve = serve

    def answers_and_closes(self, *pieces: bytes) -> None:
        """Have the first request of a connection be answered with ``pieces``, then close it."""

        async def serve(caller: Caller) -> None:
            await caller.request()
            for piece in pieces:
                await caller.say(piece)

        self.serve = serve


@asynccontextmanager
async def open_raw_provider() -> AsyncIterator[RawProvider]:
    """One on a free port of loopback, for the time of the block."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    provider = RawProvider(listener.socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, provider.run, [listener])
        yield provider
        nursery.cancel_scope.cancel()
