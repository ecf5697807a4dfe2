"""Clients of a service whose workers an operator has stopped: answered, and never left waiting."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from tests.http.edge_world import RawClient

from sluice.http.stand_in import CLIENTS, StandIn, answer_to

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


class Service:
    """Sockets that listen, and somebody or nobody behind them."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.port = listening.getsockname()[1]
        self.serves = False
        self.changes: list[bool] = []

    @asynccontextmanager
    async def stood_in_for(self, *, tls: bool = False) -> AsyncIterator[None]:
        stand_in = StandIn([self.listening], lambda: not self.serves, self.changes.append, tls=tls)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_in.run)
            yield
            nursery.cancel_scope.cancel()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@pytest.fixture
def service() -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield Service(listening)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (b"/v1/chat/completions", 503, b'"code":"not_accepting"'),
        (b"/stream?model=m", 503, b'"message":"The service is stopped."'),
        (b"/v1/messages", 503, b'{"type":"error","error":{"type":"overloaded_error"'),
        (b"/v2/chat/", 503, b'{"message":"The service is stopped."}'),
        (b"/health/live", 200, b'{"status":"alive"}'),
        (b"/health/ready?verbose", 503, b'{"ready":false,"reasons":["The service is stopped."]}'),
        (b"/health", 503, b'"status":"unhealthy"'),
    ],
)
async def test_who_waited_in_the_backlog_and_who_comes_later_are_told_that_it_is_stopped(
    service: Service, path: bytes, status: int, said: bytes
) -> None:
    early = await service.connect()
    async with service.stood_in_for():
        for stream in (early, await service.connect()):
            async with stream:
                client = RawClient(stream)
                answer = await client.request(GET % path)
                assert answer.status == status
                assert said in answer.body
                assert answer.headers["connection"] == "close"
                assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
                assert await client.closed()


@pytest.mark.parametrize("head", [b"", b"\r\n\r\n", b"\x16\x03\x01", b"GET\r\n\r\n", b"a b"])
def test_what_is_no_request_is_told_so_too(head: bytes) -> None:
    assert answer_to(head).startswith(b"HTTP/1.1 503 ")


async def test_a_large_body_costs_its_sender_no_answer(service: Service) -> None:
    body = b"x" * 500_000
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with service.stood_in_for(), await service.connect() as stream:
        assert (await RawClient(stream).request(head + body)).status == 503


async def test_on_tls_the_connection_closes(service: Service) -> None:
    async with service.stood_in_for(tls=True), await service.connect() as stream:
        assert await stream.receive_some() == b""


async def test_while_somebody_serves_connections_are_left_to_them(service: Service) -> None:
    async with service.stood_in_for():
        async with await service.connect() as stream:
            assert (await RawClient(stream).request(GET % b"/")).status == 503
        service.serves = True
        with trio.fail_after(10):
            while service.changes != [True, False]:  # noqa: ASYNC110 -- a list tells no event
                await trio.sleep(0.01)
        async with await service.connect():
            with trio.fail_after(10):
                await trio.lowlevel.wait_readable(service.listening)
            accepted, _ = service.listening.accept()
            accepted.close()


async def test_clients_that_say_nothing_keep_nobody_from_an_answer(service: Service) -> None:
    async with service.stood_in_for(), trio.open_nursery() as nursery:
        silent = [await service.connect() for _ in range(CLIENTS)]
        async with await service.connect() as stream:
            assert (await RawClient(stream).request(GET % b"/")).status == 503
        for each in silent:
            nursery.start_soon(each.aclose)
