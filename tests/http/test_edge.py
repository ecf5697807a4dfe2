"""The `edge` actor: what its start, its replacement and its stop mean for clients."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from tests.http.edge_world import GET, PATIENCE, App, Calling, RawClient, reply, reraise

from sluice.actors.metrics.reports import RequestReport
from sluice.actors.streams.pump import EpollPoller, Pump
from sluice.engine import ChildSpec, Context, StartFailed, SupervisorSpec, System, open_system
from sluice.http.asgi import Asgi, Receive, Scope, Send
from sluice.http.edge import Edge
from sluice.http.edge_settings import EdgeSettings
from sluice.http.edge_state import EdgeCounts, EdgeStatistics
from sluice.http.server import bind


class World:
    """A system whose only actor is the edge."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.system: System
        self.address = address
        self.clients: list[RawClient] = []
        self.refused: list[RequestReport] = []
        self.last_calls = 0

    async def connect(self) -> RawClient:
        client = RawClient(await trio.open_tcp_stream(*self.address))
        self.clients.append(client)
        return client

    def last_call(self) -> None:
        self.last_calls += 1

    def statistics(self) -> EdgeStatistics:
        domain = self.system.inspect("edge").domain  # type: ignore[union-attr]
        assert isinstance(domain, EdgeStatistics)
        return domain


@asynccontextmanager
async def open_world(make_app: Callable[[Context], Asgi], **settings: Any) -> AsyncIterator[World]:
    pump = Pump(EpollPoller, reraise)
    sockets = bind(["127.0.0.1:0"], 100)
    world = World(sockets[0].getsockname())
    factory = functools.partial(
        Edge,
        make_app,
        sockets,
        EdgeSettings(**settings),
        pump,
        counts=EdgeCounts(),
        on_refused=world.refused.append,
        last_call=world.last_call,
    )
    root = SupervisorSpec("root", children=[ChildSpec("edge", factory, shutdown=PATIENCE)])
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            async with open_system(root) as world.system:
                yield world
            for client in world.clients:
                await client.leave()
            nursery.cancel_scope.cancel()
    finally:
        for sock in sockets:
            sock.close()


def make_plain(_: Context) -> Asgi:
    return App()


async def test_a_started_edge_accepts_and_counts() -> None:
    async with open_world(make_plain) as world:
        client = await world.connect()
        assert (await client.request()).body == b"hello"
        assert (await client.request(b"GET / HTTP/1.1\r\n\r\n")).status == 400
        statistics = world.statistics()
        assert (statistics.accepted, statistics.requests, statistics.refused) == (1, 1, {400: 1})
        assert [refused.http_status for refused in world.refused] == [400]


async def test_clients_that_come_while_it_is_replaced_wait_and_are_served() -> None:
    incarnations: list[int] = []

    def make_app(context: Context) -> Asgi:
        incarnations.append(context.incarnation)
        return App()

    async with open_world(make_app) as world:
        before = await world.connect()
        assert (await before.request()).status == 200
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.system.restart, "edge")
            client = await world.connect()
            assert (await client.request()).status == 200
        assert await before.closed()
        assert incarnations == [1, 2]
        assert world.statistics().requests == 2


@pytest.mark.parametrize(("drain", "last_calls"), [(PATIENCE, 0), (0.05, 1)])
async def test_stopping_drains_and_gives_a_last_call_to_those_who_stay(
    drain: float, last_calls: int
) -> None:
    ready, go_on = trio.Event(), trio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        ready.set()
        await go_on.wait()
        await reply(send, b"last")

    def make_slow(_: Context) -> Asgi:
        return Calling(slow)

    async with open_world(make_slow, drain=drain) as world:
        client = await world.connect()
        await client.send(GET)
        await ready.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.system.stop, "edge")
            with trio.fail_after(PATIENCE):
                while world.last_calls < last_calls or not world.statistics().draining:
                    await trio.testing.wait_all_tasks_blocked(0.01)
            go_on.set()
            assert (await client.answer()).body == b"last"
        assert world.last_calls == last_calls


async def test_an_application_that_cannot_be_made_is_a_failed_start() -> None:
    def make_app(_: Context) -> Asgi:
        raise ValueError

    with pytest.RaisesGroup(StartFailed):
        async with open_world(make_app):
            pass
