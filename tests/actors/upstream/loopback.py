"""Tiny providers on loopback sockets, which say exactly the bytes they are told to."""

from __future__ import annotations

import select
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path

import trio
import trustme

from sluice.actors.upstream import Origin, UpstreamConnection, client_context

Handler = Callable[[trio.abc.Stream], Awaitable[None]]

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def served(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Origin]:
    """Where ``handler`` serves every connection; what it still does at the end is cancelled."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, partial(_serve, handler, tls), 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        yield Origin(host, port, tls is not None)
        nursery.cancel_scope.cancel()


async def _serve(handler: Handler, tls: ssl.SSLContext | None, plain: trio.SocketStream) -> None:
    stream = plain if tls is None else trio.SSLStream(plain, tls, server_side=True)
    with plain.socket:
        try:
            await handler(stream)
            await stream.aclose()
        except (trio.BrokenResourceError, ssl.SSLError):
            return  # a client may leave at any time


async def read_request(stream: trio.abc.Stream) -> bytes:
    """One request with its counted body; empty at the end of file."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(field(head, b"content-length") or 0)
    while len(body) < length:
        body += await stream.receive_some(65536)
    return head + b"\r\n\r\n" + body


def field(head: bytes, name: bytes) -> bytes:
    """The value of the header field ``name``."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


def says(*pieces: bytes) -> Handler:
    """Reads one request, sends ``pieces`` one write each, and closes."""

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        for piece in pieces:
            await stream.send_all(piece)

    return handler


def keeps_saying(answer: bytes) -> Handler:
    """Answers every request of a connection with ``answer``."""

    async def handler(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(answer)

    return handler


def counted(body: bytes, more: bytes = b"") -> bytes:
    """A response with a content-length."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), more, body)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked response."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def open_sockets() -> int:
    """Sockets of this process."""
    return sum(_is_socket(path) for path in Path("/proc/self/fd").iterdir())


def _is_socket(path: Path) -> bool:
    try:
        return str(path.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False  # the descriptor of the listing itself


@cache
def authority() -> trustme.CA:
    """Who signs the certificates of these tests."""
    return trustme.CA()


def server_tls(*names: str) -> ssl.SSLContext:
    """TLS for a server that is called ``names``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    return context


def client_tls() -> ssl.SSLContext:
    """TLS for a client that trusts `authority`, made as the product makes it."""
    context = client_context()
    authority().configure_trust(context)
    return context


async def body_of(connection: UpstreamConnection) -> bytes:
    """The body, read as a task does."""
    body = b""
    while not connection.complete:
        body += await connection.receive()
    return body


def polled(connection: UpstreamConnection) -> bytes:
    """The body, read as the pump does: only when epoll says that there is something to read."""
    body = b""
    with select.epoll() as epoll:
        epoll.register(connection.fd, select.EPOLLIN | select.EPOLLRDHUP)
        while not connection.complete:
            assert epoll.poll(5), "nothing to read, but the body is not complete"
            try:
                body += connection.receive_nowait()
            except BlockingIOError:
                continue
    return body


async def until(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds, which nobody tells; 10 seconds at most."""
    with trio.fail_after(10):
        while True:
            if condition():
                return
            await trio.lowlevel.checkpoint()
