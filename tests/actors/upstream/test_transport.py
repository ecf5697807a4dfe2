from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
import trio
from tests.actors.upstream.loopback import (
    chunked,
    client_tls,
    counted,
    field,
    keeps_saying,
    open_sockets,
    read_request,
    says,
    served,
    server_tls,
)

from sluice.actors.upstream import CONNECTION, Http1Transport, Origin, UpstreamConnection


class KeepingPool:
    """All that is given back, forever."""

    def __init__(self) -> None:
        self.idle: list[UpstreamConnection] = []

    def checkout(self, origin: Origin) -> UpstreamConnection | None:
        return self.idle.pop() if self.idle else None

    def checkin(self, origin: Origin, connection: UpstreamConnection) -> None:
        self.idle.append(connection)

    def close(self) -> None:
        for connection in self.idle:
            connection.close()


def url(origin: Origin, path: str = "/") -> str:
    return f"{'https' if origin.secure else 'http'}://{origin.host}:{origin.port}{path}"


def client(pool: KeepingPool | None = None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=Http1Transport(pool, context=client_tls))


@pytest.mark.parametrize("secure", [False, True])
async def test_an_ordinary_httpx2_client_gets_whole_answers(secure: bool) -> None:
    async with served(says(counted(b"hello")), server_tls() if secure else None) as origin:
        async with client() as http:
            response = await http.post(url(origin), content=b"{}")
        assert (response.status_code, response.text) == (200, "hello")


@pytest.mark.parametrize("secure", [False, True])
async def test_an_ordinary_httpx2_client_streams_piece_by_piece(secure: bool) -> None:
    send_more = trio.Event()

    async def server(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(chunked(b"first", end=b""))
        await send_more.wait()
        await stream.send_all(b"6\r\nsecond\r\n0\r\n\r\n")

    async with served(server, server_tls() if secure else None) as origin, client() as http:
        async with http.stream("GET", url(origin)) as response:
            pieces = []
            async for piece in response.aiter_raw():
                pieces.append(piece)
                send_more.set()
        assert pieces == [b"first", b"second"]


async def test_the_connection_under_a_response_is_told() -> None:
    async with served(says(counted(b"hello"))) as origin:
        transport = Http1Transport()
        request = httpx2.Request("POST", url(origin), content=b"{}")
        response = await transport.handle_async_request(request)
        connection = response.extensions[CONNECTION]
        assert isinstance(connection, UpstreamConnection)
        assert connection.receive_nowait() == b"hello"
        await response.aclose()
        assert connection.closed


async def seen_by_server(request: httpx2.Request) -> bytes:
    """What the transport makes of ``request``, whose URL is given a port to go to."""
    seen = b""

    async def server(stream: trio.abc.Stream) -> None:
        nonlocal seen
        seen = await read_request(stream)
        await stream.send_all(counted(b""))

    async with served(server) as origin:
        request.url = request.url.copy_with(port=origin.port)
        response = await Http1Transport().handle_async_request(request)
        await response.aclose()
    return seen


async def test_identity_is_asked_for_whatever_the_caller_says() -> None:
    headers = {"Accept-Encoding": "gzip, br"}
    seen = await seen_by_server(httpx2.Request("GET", "http://127.0.0.1/", headers=headers))
    assert seen.lower().count(b"accept-encoding") == 1
    assert field(seen, b"accept-encoding") == b"identity"


class Pieces(httpx2.AsyncByteStream):
    """A body of which nobody knows the length."""

    def __init__(self, *pieces: bytes) -> None:
        self._rest = list(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop(0)


async def test_bodies_are_counted_and_never_chunked() -> None:
    request = httpx2.Request("POST", "http://127.0.0.1/", content=Pieces(b"hel", b"lo"))
    assert request.headers["transfer-encoding"] == "chunked"
    seen = await seen_by_server(request)
    assert seen.endswith(b"\r\n\r\nhello")
    assert field(seen, b"content-length") == b"5"
    assert b"transfer-encoding" not in seen.lower()


async def test_an_empty_post_has_a_length_and_a_get_has_none() -> None:
    post = await seen_by_server(httpx2.Request("POST", "http://127.0.0.1/"))
    get = await seen_by_server(httpx2.Request("GET", "http://127.0.0.1/"))
    assert field(post, b"content-length") == b"0"
    assert b"content-length" not in get.lower()


async def test_path_and_query_are_sent_as_they_are() -> None:
    seen = await seen_by_server(httpx2.Request("GET", "http://127.0.0.1/a%20b?c=d&e"))
    assert seen.startswith(b"GET /a%20b?c=d&e HTTP/1.1\r\n")


async def test_a_missing_host_is_added() -> None:
    stream = httpx2.ByteStream(b"")
    seen = await seen_by_server(httpx2.Request("POST", "http://127.0.0.1/", stream=stream))
    assert field(seen, b"host").startswith(b"127.0.0.1")


@pytest.mark.parametrize(
    "headers", [[(b"X", b"a\r\nY: b")], [(b"X\n", b"a")], [(b"X", b"a\0")], [(b"X", b"a\rb")]]
)
async def test_a_header_with_a_line_end_or_nul_is_refused_before_anything_is_sent(
    headers: list[tuple[bytes, bytes]],
) -> None:
    request = httpx2.Request("GET", "http://127.0.0.1:1/", headers=headers)
    with pytest.raises(httpx2.LocalProtocolError):
        await Http1Transport().handle_async_request(request)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/", "http:///path", "/path"])
async def test_what_is_neither_http_nor_https_is_refused(target: str) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await Http1Transport().handle_async_request(httpx2.Request("GET", target))


async def test_redirects_are_not_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with served(says(answer)) as origin, client() as http:
        assert (await http.get(url(origin))).status_code == 302


async def test_head_has_no_body() -> None:
    async with served(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as origin:
        async with client() as http:
            response = await http.head(url(origin))
        assert response.headers["content-length"] == "5"
        assert response.content == b""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200", httpx2.RemoteProtocolError),
        (b"garbage\r\n\r\n", httpx2.RemoteProtocolError),
        (counted(b"hello")[:-1], httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, httpx2.RemoteProtocolError),
    ],
)
async def test_faults_of_an_answer_are_httpx2s_own_to_its_clients(
    answer: bytes, error: type[Exception]
) -> None:
    async with served(says(answer)) as origin, client() as http:
        with pytest.raises(error):
            await http.post(url(origin), content=b"{}")


async def test_faults_of_connecting_are_httpx2s_own_to_its_clients() -> None:
    async with client() as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get("http://127.0.0.1:1/")
    async with served(says(b""), server_tls("elsewhere.example")) as origin, client() as http:
        with pytest.raises(httpx2.ConnectError, match="tls"):
            await http.get(url(origin))


async def test_a_connect_timeout_is_httpx2s_own(autojump_clock: trio.testing.MockClock) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with client() as http:
        with pytest.raises(httpx2.ConnectTimeout):
            await http.get(f"https://127.0.0.1:{port}/", timeout=3)
    assert trio.current_time() == pytest.approx(3, abs=0.1)
    await listeners[0].aclose()


async def test_a_complete_answer_gives_its_connection_back_for_the_next_request() -> None:
    pool = KeepingPool()
    async with served(keeps_saying(chunked(b"hello"))) as origin, client(pool) as http:
        for _ in range(3):
            assert (await http.post(url(origin), content=b"{}")).text == "hello"
        assert [connection.requests for connection in pool.idle] == [3]
        pool.close()


async def test_an_answer_closed_early_closes_its_connection_at_once() -> None:
    left = trio.Event()

    async def server(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(chunked(b"first", end=b""))
        assert await stream.receive_some(1) == b""
        left.set()

    pool = KeepingPool()
    async with served(server) as origin, client(pool) as http:
        async with http.stream("GET", url(origin)):
            pass
        with trio.fail_after(5):
            await left.wait()
        assert pool.idle == []


class Lossy:
    """A server that answers the first request of its first connection, and breaks the second."""

    def __init__(self, second: bytes = b"") -> None:
        self.requests = 0
        self._second = second

    async def __call__(self, stream: trio.abc.Stream) -> None:
        first_connection = self.requests == 0
        while await read_request(stream):
            self.requests += 1
            if self.requests == 2 and first_connection:
                await stream.send_all(self._second)
                return
            await stream.send_all(counted(b"hello"))


async def test_a_request_that_met_a_closing_idle_connection_is_sent_again_once() -> None:
    pool, server = KeepingPool(), Lossy()
    async with served(server) as origin, client(pool) as http:
        for _ in range(2):
            assert (await http.post(url(origin), content=b"{}")).text == "hello"
        assert server.requests == 3
        pool.close()


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", counted(b"x" * 9)[:-1]])
async def test_a_request_is_not_sent_again_once_a_byte_came_in_answer(start: bytes) -> None:
    pool, server = KeepingPool(), Lossy(start)
    async with served(server) as origin, client(pool) as http:
        await http.post(url(origin), content=b"{}")
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(url(origin), content=b"{}")
        assert server.requests == 2


async def test_a_request_on_a_new_connection_is_sent_once_only() -> None:
    requests = 0

    async def server(stream: trio.abc.Stream) -> None:
        nonlocal requests
        await read_request(stream)
        requests += 1

    async with served(server) as origin, client() as http:
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(url(origin), content=b"{}")
        assert requests == 1


async def test_a_pooled_connection_that_answers_garbage_is_no_reason_to_send_again() -> None:
    pool, server = KeepingPool(), Lossy(b"garbage")
    async with served(server) as origin, client(pool) as http:
        await http.post(url(origin), content=b"{}")
        with pytest.raises(httpx2.RemoteProtocolError):
            await http.post(url(origin), content=b"{}")
        assert server.requests == 2


async def test_failed_requests_leave_no_socket_behind() -> None:
    before = open_sockets()
    async with served(says(b"garbage\r\n\r\n")) as origin, client() as http:
        for _ in range(5):
            with pytest.raises(httpx2.RemoteProtocolError):
                await http.post(url(origin), content=b"{}")
    assert open_sockets() == before
