"""An `httpx2` transport on llhttp and a trio socket: HTTP/1.1, plain and TLS.

A tenth of the cost of httpx2's own. What it does not do: proxies, HTTP/2, content codings
(``identity`` is asked for, always), redirects. ``response.extensions["sluice.connection"]`` is
the connection under the response, for a pump that moves its bytes without this module.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import httpx2

from sluice.actors.failures import UpstreamFault

from .connection import UpstreamConnection
from .dial import Hold, Origin, dial
from .response import ResponseHead
from .tls import client_context

CONNECTION: Final = "sluice.connection"
"""The key of the leased connection in a response's ``extensions``."""

HEAD: Final = "sluice.head"
"""The key of the `ResponseHead`, for callers to whom httpx2's headers are too dear."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds, for requests that do not say (httpx2's default)."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_OURS: Final = frozenset((
    b"accept-encoding", b"connection", b"content-length", b"te", b"transfer-encoding", b"upgrade"
))  # fmt: skip
"""Headers of the hop, which nobody above decides: bodies are counted, never chunked."""

_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))
"""Methods of which a length is expected even of nothing (RFC 9110, 8.6)."""

_ERRORS: Final[dict[str, type[httpx2.TransportError]]] = {
    "refused": httpx2.ConnectError,
    "unreachable": httpx2.ConnectError,
    "tls": httpx2.ConnectError,
    "connect_timeout": httpx2.ConnectTimeout,
    "reset": httpx2.ReadError,
    "cut": httpx2.RemoteProtocolError,
    "protocol": httpx2.RemoteProtocolError,
    "too_large": httpx2.RemoteProtocolError,
}


class Pool(Protocol):
    """Where connections are between two requests."""

    def checkout(self, origin: Origin) -> UpstreamConnection | None:
        """An idle connection, the caller's from now on; None: dial one."""

    def checkin(self, origin: Origin, connection: UpstreamConnection) -> None:
        """Take back one that is `UpstreamConnection.reusable`."""


class NoPool:
    """Every request dials."""

    def checkout(self, origin: Origin) -> UpstreamConnection | None:  # noqa: ARG002 -- a Pool
        """None."""
        return None

    def checkin(self, origin: Origin, connection: UpstreamConnection) -> None:  # noqa: ARG002 -- a Pool
        """Close it."""
        connection.close()


class Http1Transport(httpx2.AsyncBaseTransport):
    """Sends each request on an idle connection of ``pool``, or on one of its own making.

    Args:
        pool: idle connections; none are kept without.
        context: makes the TLS context, once, when the first secure origin is called.
        connect_timeout: seconds, where the request's ``timeout`` extension has no ``connect``.
    """

    def __init__(
        self,
        pool: Pool | None = None,
        *,
        context: Callable[[], ssl.SSLContext] = client_context,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self._pool: Pool = pool if pool is not None else NoPool()
        self._make_context = context
        self._context: ssl.SSLContext | None = None
        self._connect_timeout = connect_timeout
        self.dials = 0
        """Connections asked for."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, as soon as its head is there; closing it returns the connection.

        Raises `httpx2.TransportError`, whose cause is the `UpstreamFault`.
        """
        origin = origin_of(request.url)
        data = await _serialize(request)
        timeout = request.extensions.get("timeout", {}).get("connect")
        bodyless = request.method == "HEAD"
        try:
            connection, head = await self.exchange(origin, data, timeout, bodyless=bodyless)
        except UpstreamFault as fault:
            raise _as_httpx(fault) from fault
        return httpx2.Response(
            head.status,
            headers=head.headers,
            stream=_Body(connection, origin, self._pool),
            extensions={CONNECTION: connection, HEAD: head, "http_version": b"HTTP/1.1"},
        )

    async def exchange(
        self,
        origin: Origin,
        data: bytes,
        connect_timeout: float | None = None,
        *,
        bodyless: bool = False,
        hold: Hold | None = None,
    ) -> tuple[UpstreamConnection, ResponseHead]:
        """Send ``data``, a whole request, and read the head of the answer.

        The door for callers that make the same request again and again: httpx2's objects would
        cost it as much as the exchange. If an idle connection turns out to have been closed, it
        is sent once again, but only if not a byte came in answer: else the provider may have
        begun to work. The connection is the caller's. Raises `UpstreamFault`; when it was ended
        by what ``hold`` was told, that or `trio.ClosedResourceError`.
        """
        connection = self._pool.checkout(origin)
        if connection is not None:
            if hold is not None:
                hold(connection.close)
            try:
                return connection, await _send(connection, data, bodyless=bodyless)
            except UpstreamFault as fault:
                if connection.answered or fault.reason not in {"cut", "reset"}:
                    raise
        connection = await self._dial(origin, connect_timeout, hold)
        if hold is not None:
            hold(connection.close)
        return connection, await _send(connection, data, bodyless=bodyless)

    def _new_context(self) -> ssl.SSLContext:
        try:
            return self._make_context()
        except OSError as problem:  # an unreadable file; `ssl.SSLError` is one too
            raise UpstreamFault("tls", f"the trusted certificates: {problem}") from problem

    async def _dial(
        self, origin: Origin, timeout: float | None, hold: Hold | None
    ) -> UpstreamConnection:
        if origin.secure and self._context is None:
            self._context = self._new_context()
        self.dials += 1
        return await dial(
            origin, self._context, self._connect_timeout if timeout is None else timeout, hold
        )


class _Body(httpx2.AsyncByteStream):
    """A response's body, and the lease of its connection."""

    __slots__ = ("_connection", "_origin", "_pool")

    def __init__(self, connection: UpstreamConnection, origin: Origin, pool: Pool) -> None:
        self._connection: UpstreamConnection | None = connection
        self._origin = origin
        self._pool = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        try:
            while connection is not None and not connection.complete:
                data = await connection.receive()
                if data:
                    return data
        except UpstreamFault as fault:
            raise _as_httpx(fault) from fault
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back, or close it at once if its response is not over."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.reusable:
            self._pool.checkin(self._origin, connection)
        else:
            connection.close()


async def _send(connection: UpstreamConnection, data: bytes, *, bodyless: bool) -> ResponseHead:
    """One exchange, up to the head. The connection is closed if it does not come to that."""
    try:
        await connection.request(data, bodyless=bodyless)
        return await connection.read_head()
    except BaseException:
        connection.close()
        raise


def _as_httpx(fault: UpstreamFault) -> httpx2.TransportError:
    return _ERRORS.get(fault.reason, httpx2.ReadError)(str(fault))


def origin_of(url: httpx2.URL) -> Origin:
    """Where ``url`` is; `httpx2.UnsupportedProtocol` for what is neither http nor https."""
    port = _DEFAULT_PORTS.get(url.scheme)
    if port is None or not url.host:
        raise httpx2.UnsupportedProtocol("only http:// and https:// can be called")
    host = url.raw_host.decode("ascii").strip("[]")
    return Origin(host, url.port or port, url.scheme == "https")


async def _serialize(request: httpx2.Request) -> bytes:
    """The request as bytes, its body whole: it may have to be sent twice."""
    body = await request.aread()
    head = request_head(request.method, request.url, request.headers)
    if body or request.method in _WITH_BODY:
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    return head + b"\r\n"


def request_head(method: str, url: httpx2.URL, headers: httpx2.Headers) -> bytes:
    """A request's first line and headers, each with its line end; no length and no empty line.

    Raises `httpx2.LocalProtocolError` for a header that would be two.
    """
    lines = [b"%b %b HTTP/1.1" % (method.encode("ascii"), url.raw_path)]
    if "host" not in headers:
        lines.append(b"Host: " + url.netloc)
    lines += [b"%b: %b" % field for field in headers.raw if field[0].lower() not in _OURS]
    lines.append(b"Accept-Encoding: identity")
    head = b"\r\n".join(lines)
    if head.count(b"\r") != len(lines) - 1 or head.count(b"\n") != len(lines) - 1 or b"\0" in head:
        raise httpx2.LocalProtocolError("a header with a line end or a NUL")
    return head + b"\r\n"
