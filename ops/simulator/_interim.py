"""Stands in for `sluice.http.server` until that is there. Not for anything else."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import httptools
import trio

from sluice.actors.failures import ClientLeft


class _Connection:
    direct = True

    def __init__(self, stream: trio.SocketStream, app: Any) -> None:
        self._stream, self._app = stream, app
        self._parser = httptools.HttpRequestParser(self)
        self._bodies: list[bytes] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._done = trio.Event()
        self._left = False
        self._on_left: Callable[[], None] | None = None
        self._head = b""
        self.closed = False
        self._ready: list[Any] = []
        self._pending = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._bodies.append(body)

    def on_message_complete(self) -> None:
        self._done.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            while not self.closed:
                await self._done.wait()
                if self._left:
                    break
                self._done = trio.Event()
                path, _, query = self._url.partition(b"?")
                body = b"".join(self._bodies)
                scope = {
                    "type": "http",
                    "method": self._parser.get_method().decode(),
                    "path": path.decode(),
                    "query_string": query,
                    "headers": self._headers,
                    "extensions": {"sluice.client": self},
                }
                self._url, self._headers, self._bodies = b"", [], []

                async def receive(body: bytes = body) -> dict[str, object]:
                    return {"type": "http.request", "body": body, "more_body": False}

                await self._app(scope, receive, self._asgi_send)
            nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        try:
            while data := await self._stream.receive_some(65536):
                self._parser.feed_data(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, httptools.HttpParserError):
            pass
        self._left = True
        self._done.set()
        if self._on_left:
            self._on_left()

    async def _asgi_send(self, event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            headers = [(n, v) for n, v in event["headers"]]
            self._head = self._render(event["status"], headers)
        else:
            head, self._head = self._head, b""
            await self._write(head + event.get("body", b""))

    def _render(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        return b"HTTP/1.1 %d X\r\n%b\r\n" % (status, lines)

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._head = self._render(status, [*headers, (b"transfer-encoding", b"chunked")])

    def frame(self, payload: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(payload), payload)

    async def send(self, data: bytes, timeout: float) -> None:
        head, self._head = self._head, b""
        await self._write(head + data)

    async def end(self, data: bytes, timeout: float) -> None:
        await self.send(data + b"0\r\n\r\n", timeout)

    async def _write(self, data: bytes) -> None:
        if self._left:
            raise ClientLeft
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ClientLeft from None

    def abort(self) -> None:
        self.closed = True
        self._stream.socket.close()

    def reset(self) -> None:
        self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def watch(self, on_left: Callable[[], None]) -> None:
        self._on_left = on_left
        if self._left:
            on_left()

    def unwatch(self) -> None:
        self._on_left = None


async def serve(app: Any, sock: socket.socket) -> None:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await _Connection(stream, app).run()

    await trio.serve_listeners(handle, [listener])
