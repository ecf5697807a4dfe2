from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.http.asgi_client import AsgiClient, Cut, asgi_client

HEAD: list[tuple[bytes, bytes]] = [(b"x-a", b"b")]


class Server:
    """An ASGI server's two callables."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.left = trio.Event()
        self.on_send: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        await self.on_send()
        self.sent.append(event)


@pytest.fixture
def server() -> Server:
    return Server()


async def test_a_head_leaves_with_the_first_bytes_and_the_end_ends_the_body(
    server: Server,
) -> None:
    async with asgi_client(server.receive, server.send) as client:
        client.start(200, HEAD)
        assert server.sent == []
        await client.send(client.frame(b"a"), 5)
        await client.end(client.frame(b"b"), 5)
    assert server.sent == [
        {"type": "http.response.start", "status": 200, "headers": HEAD},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b", "more_body": False},
    ]


async def test_a_whole_response_says_its_length(server: Server) -> None:
    async with asgi_client(server.receive, server.send) as client:
        await client.respond(404, HEAD, b"abc", 5)
    assert server.sent[0]["headers"] == [*HEAD, (b"content-length", b"3")]
    assert server.sent[1] == {"type": "http.response.body", "body": b"abc", "more_body": False}


async def test_nothing_is_sent_past_the_servers_own_queue(server: Server) -> None:
    async with asgi_client(server.receive, server.send) as client:
        assert not client.direct
        assert client.send_nowait(b"x") == 0
    assert server.sent == []


async def test_a_client_that_leaves_is_told_of_once_and_gets_nothing_more(server: Server) -> None:
    calls: list[str] = []
    async with asgi_client(server.receive, server.send) as client:
        client.watch(lambda: calls.append("left"))
        server.left.set()
        await trio.testing.wait_all_tasks_blocked()
        assert calls == ["left"]
        with pytest.raises(ClientLeft):
            await client.send(b"x", 5)
        client.watch(lambda: calls.append("before watch returned"))
        assert calls == ["left", "before watch returned"]


async def test_whoever_stopped_watching_is_not_called(server: Server) -> None:
    calls: list[str] = []
    async with asgi_client(server.receive, server.send) as client:
        client.watch(lambda: calls.append("left"))
        client.unwatch()
        server.left.set()
        await trio.testing.wait_all_tasks_blocked()
    assert calls == []


async def test_a_server_that_says_the_connection_is_closed_means_the_client_left(
    server: Server,
) -> None:
    async def closed() -> None:
        await trio.lowlevel.checkpoint()
        raise OSError

    server.on_send = closed
    async with asgi_client(server.receive, server.send) as client:
        client.start(200, HEAD)
        with pytest.raises(ClientLeft):
            await client.send(b"x", 5)


async def test_a_client_that_takes_no_byte_has_stalled(
    server: Server, autojump_clock: trio.testing.MockClock
) -> None:
    server.on_send = trio.sleep_forever
    async with asgi_client(server.receive, server.send) as client:
        client.start(200, HEAD)
        with pytest.raises(ClientStalled):
            await client.send(b"x", 5)


async def test_an_aborted_answer_fails_so_that_the_server_cuts_the_connection(
    server: Server,
) -> None:
    async def abort() -> None:
        async with asgi_client(server.receive, server.send) as client:
            client.abort()

    with pytest.raises(Cut):
        await abort()
    assert AsgiClient(server.send).aborted is False
