"""Limits of ours that hold for Hypercorn's own HTTP/1.1, too."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from tests.http.app_world import World
from tests.http.edge_world import GET, App, Calling, open_edge
from tests.http.test_server_tls import TLSWorld

from sluice.http.asgi import Receive, Scope, Send
from sluice.http.foreign import ForeignConnection
from sluice.http.http1.connection import Connection
from sluice.http.services import AppSettings

BODY = msgspec.json.encode({"model": "gpt-4o", "prompt": "x" * 200})
HEAD = "POST {path} HTTP/1.1\r\nHost: sluice\r\nX-Request-Id: mine-1\r\n{framing}\r\n\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLSWorld:
    return TLSWorld(tmp_path_factory.mktemp("tls"))


def sized(path: str, body: bytes) -> bytes:
    return HEAD.format(path=path, framing=f"Content-Length: {len(body)}").encode() + body


def chunked(path: str, body: bytes) -> bytes:
    head = HEAD.format(path=path, framing="Transfer-Encoding: chunked").encode()
    pieces = [body[start : start + 50] for start in range(0, len(body), 50)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/stream"])
@pytest.mark.parametrize("framed", [sized, chunked])
async def test_a_body_over_the_limit_is_a_413_however_it_is_framed(path: str, framed: Any) -> None:
    world = World(AppSettings(body_limit=100))
    async with open_edge(world.app, http1="hypercorn") as edge:
        answer = await edge.request(framed(path, BODY))
        assert (answer.status, answer.code) == (413, "request_too_large")
        assert (await edge.request(framed("/stream", b"{}"))).status == 400
    assert world.streams.jobs == []
    assert [(each.http_status, each.request_id) for each in world.reports] == [
        (413, "mine-1"),
        (400, "mine-1"),
    ]


async def test_past_the_limit_of_connections_a_client_is_told_503() -> None:
    async with open_edge(App(), http1="hypercorn", max_connections=2) as edge:
        first, second = await edge.connect(), await edge.connect()
        assert (await first.request()).status == 200
        assert (await second.request()).status == 200
        late = await edge.connect()
        answer = await late.answer()
        assert (answer.status, answer.code) == (503, "too_many_connections")
        assert await late.closed()
        assert edge.state.counts.turned_away == 1
        assert [each.end for each in edge.refused] == ["too_many_connections"]
        await first.leave()
        await edge.until_open(1)
        assert (await edge.request()).status == 200
        assert edge.state.counts.accepted == 4


@pytest.mark.parametrize("http1", ["sluice", "hypercorn"])
async def test_past_the_limit_of_connections_a_client_on_tls_is_let_go(
    tls: TLSWorld, http1: str
) -> None:
    async with tls.open(App(), http1=http1, max_connections=1) as edge:
        client = await tls.connect(edge)
        assert (await client.request()).status == 200
        assert await (await edge.connect()).closed()
        assert edge.state.counts.turned_away == 1
        assert [(each.http_status, each.end) for each in edge.refused] == [
            (0, "too_many_connections")
        ]
        await client.stream.aclose()
        await edge.until_open(0)
        assert (await (await tls.connect(edge)).request()).status == 200


@pytest.mark.parametrize("http1", ["sluice", "hypercorn"])
async def test_a_client_that_never_agrees_on_tls_is_a_connection_like_any_other(
    tls: TLSWorld, http1: str
) -> None:
    async with tls.open(App(), http1=http1, max_connections=1) as edge:
        silent = await edge.connect()
        await edge.until_open(1)
        assert await (await edge.connect()).closed()
        assert edge.state.counts.turned_away == 1
        await silent.leave()
        await edge.until_open(0)
        assert (await (await tls.connect(edge)).request()).status == 200


async def test_a_connection_that_fails_gives_its_place_back() -> None:
    async with open_edge(App(), http1="hypercorn", max_connections=1) as edge:
        for _ in range(3):
            client = await edge.connect()
            client.reset_on_leaving()
            await client.send(GET[:-2])
            await edge.until_open(1)
            await client.leave()
            await edge.until_open(0)
        with trio.fail_after(5):
            assert (await edge.request()).status == 200


@pytest.mark.parametrize("http1", ["sluice", "hypercorn"])
async def test_a_fault_in_one_connection_ends_that_one_only(
    http1: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Hypercorn answers a malformed chunk while the application's answer is written."""
    async with open_edge(App(), http1=http1) as edge:
        bystander = await edge.connect()
        assert (await bystander.request()).status == 200

        async def fail(_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise trio.BusyResourceError("another task is sending")

        with monkeypatch.context() as faulty:
            faulty.setattr(ForeignConnection, "_read_data", fail)
            faulty.setattr(Connection, "run", fail)
            for count in range(1, 6):
                unlucky = await edge.connect()
                assert await unlucky.closed()
                await edge.until_open(1)
                assert edge.state.counts.crashed == count
                assert (await bystander.request()).status == 200
        assert (await edge.request()).status == 200
        await bystander.leave()
        await edge.until_open(0)


async def talk_until_left(_scope: Scope, receive: Receive, send: Send) -> None:
    """A stream that its client leaves: it has no end."""
    left = trio.Event()

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not left.is_set():
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("http1", ["sluice", "hypercorn"])
async def test_who_asks_for_more_and_leaves_gives_its_place_back(http1: str) -> None:
    app = Calling(talk_until_left)
    async with open_edge(app, http1=http1, max_connections=1, keepalive_timeout=0.4) as edge:
        for _ in range(2):
            client = await edge.connect()
            await client.send(GET * 2)
            assert (await client.more()).startswith(b"HTTP/1.1 200")
            client.reset_on_leaving()
            await client.leave()
            await edge.until_open(0)


async def test_a_websocket_is_refused_and_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with open_edge(World().app, http1="hypercorn") as edge:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}".encode()
        assert (await edge.request(GET[:-2] + upgrade + b"\r\n")).status == 403
        assert edge.state.counts.crashed == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("before", [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0",
    GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
])  # fmt: skip
async def test_nobody_is_spoken_to_in_http2(before: bytes) -> None:
    async with open_edge(App(), http1="hypercorn") as edge:
        client = await edge.connect()
        await client.send(before)
        assert (await client.answer()).status in {200, 400}
