"""The same protocol over TLS, where bytes have to pass a stream."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from tests.http.edge_world import (
    GET,
    PATIENCE,
    POST,
    App,
    Calling,
    EdgeWorld,
    RawClient,
    echo,
    open_edge,
    read,
    reply,
)

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.http.asgi import Asgi, Receive, Scope, Send
from sluice.http.http1.exchange import EXTENSION

MEGABYTES = b"x" * 20_000_000


class TLSWorld:
    """A server with a certificate, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        self.certfile, self.keyfile = str(folder / "cert.pem"), str(folder / "key.pem")
        certificate.private_key_pem.write_to_path(self.keyfile)
        for part in certificate.cert_chain_pems:
            part.write_to_path(self.certfile, append=True)
        self._trust = ssl.create_default_context()
        authority.configure_trust(self._trust)

    @asynccontextmanager
    async def open(self, app: Asgi, **settings: Any) -> AsyncIterator[EdgeWorld]:
        files = {"certfile": self.certfile, "keyfile": self.keyfile}
        async with open_edge(app, **files, **settings) as edge:
            yield edge

    async def connect(self, edge: EdgeWorld, *protocols: str) -> RawClient:
        plain = await edge.connect()
        context = self._trust
        if protocols:
            context.set_alpn_protocols(list(protocols))
        stream = trio.SSLStream(
            plain.stream,
            context,
            server_hostname="localhost",
            https_compatible=True,
        )
        with trio.fail_after(PATIENCE):
            await stream.do_handshake()
        return RawClient(stream)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLSWorld:
    return TLSWorld(tmp_path_factory.mktemp("tls"))


def through(function: Callable[[Any], Awaitable[None]]) -> Asgi:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await function(scope["extensions"][EXTENSION])

    return Calling(app)


async def test_requests_are_served_over_tls_one_after_another(tls: TLSWorld) -> None:
    app = App()
    async with tls.open(app) as edge:
        client = await tls.connect(edge)
        for _ in range(3):
            assert (await client.request()).body == b"hello"
        await client.send(GET * 3)
        for _ in range(3):
            assert (await client.answer()).body == b"hello"
    assert app.scopes[0]["scheme"] == "https"


async def test_only_http_1_1_is_offered(tls: TLSWorld) -> None:
    async with tls.open(App()) as edge:
        client = await tls.connect(edge, "h2", "http/1.1")
        chosen = client.stream.selected_alpn_protocol()  # type: ignore[attr-defined]
        assert chosen == "http/1.1"
        assert (await client.request()).status == 200


@pytest.mark.parametrize("size", [0, 5, 300_000])
async def test_bodies_pass_both_ways(tls: TLSWorld, size: int) -> None:
    async with tls.open(Calling(echo)) as edge:
        client = await tls.connect(edge)
        for _ in range(2):
            answer = await client.request(POST % (size, b"x" * size))
            assert len(answer.body) == size


async def test_a_stream_passes_through_the_client_object_but_not_the_pump(tls: TLSWorld) -> None:
    async def stream(client: Any) -> None:
        assert not client.direct
        client.start(200, [])
        assert client.send_nowait(client.frame(b"lost")) == 0
        await client.send(client.frame(b"one,"), 5)
        await client.end(client.frame(b"two"), 5)

    async with tls.open(through(stream)) as edge:
        client = await tls.connect(edge)
        for _ in range(2):
            answer = await client.request()
            assert (answer.body, answer.complete) == (b"one,two", True)


async def test_who_watches_is_told_that_the_client_left(tls: TLSWorld) -> None:
    ready, done = trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        left = trio.Event()
        client.watch(left.set)
        ready.set()
        await left.wait()
        again: list[bool] = []
        client.watch(lambda: again.append(True))
        assert again == [True]
        with pytest.raises(ClientLeft):
            await client.send(b"x", 5)
        done.set()

    async with tls.open(through(stream)) as edge:
        client = await tls.connect(edge)
        await client.send(GET)
        await ready.wait()
        await client.leave()
        with trio.fail_after(PATIENCE):
            await done.wait()
        await edge.until_open(0)
        assert edge.state.counts.crashed == 0


async def test_who_waits_in_receive_is_told_that_the_client_left(tls: TLSWorld) -> None:
    ready, done = trio.Event(), trio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)
        ready.set()
        assert (await receive())["type"] == "http.disconnect"
        done.set()

    async with tls.open(Calling(waiting)) as edge:
        client = await tls.connect(edge)
        await client.send(GET)
        await ready.wait()
        await client.leave()
        with trio.fail_after(PATIENCE):
            await done.wait()


async def test_receive_returns_once_the_answer_is_complete(tls: TLSWorld) -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await reply(send, b"done")

    async with tls.open(Calling(waiting)) as edge:
        client = await tls.connect(edge)
        for _ in range(2):
            assert (await client.request()).body == b"done"


async def test_a_client_that_takes_no_bytes_is_stalled(tls: TLSWorld) -> None:
    done = trio.Event()

    async def stream(client: Any) -> None:
        client.start(200, [])
        with pytest.raises(ClientStalled):
            await client.send(client.frame(MEGABYTES), 0.05)
        with pytest.raises(ClientLeft):
            await client.send(b"torn", 1)
        client.reset()
        done.set()

    async with tls.open(through(stream)) as edge:
        client = await tls.connect(edge)
        await client.send(GET)
        with trio.fail_after(PATIENCE):
            await done.wait()
        await edge.until_open(0)


async def test_a_client_that_is_far_ahead_is_no_longer_read(tls: TLSWorld) -> None:
    ready, go_on = trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        ready.set()
        await go_on.wait()
        await client.respond(200, [], b"", 5)

    async with tls.open(through(stream)) as edge, trio.open_nursery() as nursery:
        client = await tls.connect(edge)
        await client.send(GET)
        await ready.wait()
        nursery.start_soon(client.send, GET * 4_000)
        await trio.testing.wait_all_tasks_blocked(0.05)
        go_on.set()
        for _ in range(4_001):
            assert (await client.answer()).status == 200


async def test_an_aborted_response_is_seen_as_cut(tls: TLSWorld) -> None:
    async def stream(client: Any) -> None:
        client.start(200, [])
        await client.send(client.frame(b"half"), 5)
        client.abort()

    async with tls.open(through(stream)) as edge:
        client = await tls.connect(edge)
        answer = await client.request()
        assert (answer.body, answer.complete) == (b"half", False)


async def test_a_refusal_and_a_close_arrive_whole(tls: TLSWorld) -> None:
    async with tls.open(App()) as edge:
        client = await tls.connect(edge)
        answer = await client.request(b"GET / HTTP/1.1\r\n\r\n")
        assert (answer.status, answer.complete) == (400, True)
        assert await client.closed()
        client = await tls.connect(edge)
        closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert (await client.request(closing)).body == b"hello"
        assert await client.closed()


async def test_a_client_that_speaks_no_tls_or_nothing_is_let_go(tls: TLSWorld) -> None:
    async with tls.open(App(), handshake_timeout=0.1) as edge:
        plain, silent = await edge.connect(), await edge.connect()
        await plain.send(GET)
        await plain.rest()
        assert await silent.closed()
        assert (await (await tls.connect(edge)).request()).status == 200


async def test_past_the_limit_of_connections_a_client_is_let_go(tls: TLSWorld) -> None:
    async with tls.open(App(), max_connections=1) as edge:
        client = await tls.connect(edge)
        assert (await client.request()).status == 200
        assert await (await edge.connect()).closed()
        assert edge.state.counts.turned_away == 1


async def test_shutdown_lets_an_answer_end_and_closes_idle_connections(tls: TLSWorld) -> None:
    ready, go_on = trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        ready.set()
        await go_on.wait()
        await client.respond(200, [], b"last", 5)

    async with tls.open(through(stream)) as edge:
        idle, busy = await tls.connect(edge), await tls.connect(edge)
        go_on.set()
        assert (await idle.request()).body == b"last"
        ready, go_on = trio.Event(), trio.Event()
        await busy.send(GET)
        await ready.wait()
        edge.stop.set()
        assert await idle.closed()
        go_on.set()
        assert (await busy.answer()).headers["connection"] == "close"
        await edge.until_ended()
