"""What is written at once, what waits for its turn, and that both arrive whole and in order."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from tests.engine.cast import Say
from tests.engine.pair import pair
from trio.testing import memory_stream_pair

from sluice.engine._options import Counts
from sluice.engine._outbox import Outbox
from sluice.engine._wire import Wire, wire_of

LARGE = 1_000_000
"""Bytes; more than a socket takes at once."""


def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    here, there = (trio.socket.from_stdlib_socket(end) for end in socket.socketpair())
    return trio.SocketStream(here), trio.SocketStream(there)


@asynccontextmanager
async def outbox() -> AsyncIterator[tuple[Outbox, Wire, trio.SocketStream]]:
    """One that may write at once, its wire, and the other end."""
    here, there = sockets()
    async with here, there:
        wire = wire_of(here)
        box = Outbox(wire, Counts())
        box.is_alone = True
        yield box, wire, there


async def receive(end: trio.SocketStream, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += await end.receive_some(65536)
    return got


async def test_a_frame_that_comes_alone_is_written_at_once_and_the_next_ones_wait() -> None:
    async with outbox() as (box, _, there), trio.open_nursery() as nursery:
        box.push(b"one")
        assert box.size == 0
        box.push(b"two")
        box.push(b"three")
        assert box.waiting == [b"two", b"three"]
        assert await there.receive_some(100) == b"one"
        nursery.start_soon(box.run)
        assert await there.receive_some(100) == b"twothree"
        nursery.cancel_scope.cancel()


async def test_nothing_overtakes_what_waits() -> None:
    async with outbox() as (box, _, there), trio.open_nursery() as nursery:
        box.push(b"one")
        box.push(b"two")
        box.is_alone = True
        box.push(b"three")
        nursery.start_soon(box.run)
        assert await receive(there, 11) == b"onetwothree"
        nursery.cancel_scope.cancel()


async def test_a_frame_that_is_written_in_part_at_once_is_followed_by_its_rest() -> None:
    async with outbox() as (box, _, there), trio.open_nursery() as nursery:
        box.push(b"x" * LARGE)
        assert 0 < box.size < LARGE
        box.is_alone = True
        box.push(b"end")
        nursery.start_soon(box.run)
        nursery.start_soon(box.flush, 5)
        assert await receive(there, LARGE + 3) == b"x" * LARGE + b"end"
        nursery.cancel_scope.cancel()


async def test_a_socket_that_is_gone_is_found_by_who_waits_for_it() -> None:
    async with outbox() as (box, wire, there):
        await there.aclose()
        box.push(b"one")
        assert await wire.read() == b""
        with pytest.raises(trio.BrokenResourceError):
            await box.run()
        await trio.aclose_forcefully(there)


async def test_a_read_ends_when_its_own_socket_is_closed() -> None:
    here, there = sockets()
    async with there, trio.open_nursery() as nursery:
        wire, read = wire_of(here), []

        async def end() -> None:
            read.append(await wire.read())

        nursery.start_soon(end)
        await trio.testing.wait_all_tasks_blocked()
        await here.aclose()
        assert wire.write_nowait(b"x") == 0
    assert read == [b""]


def test_other_streams_are_never_written_at_once() -> None:
    here, _ = memory_stream_pair()
    assert wire_of(here).write_nowait(b"x") == 0


async def test_links_over_sockets_deliver_large_and_small_alike() -> None:
    async with pair(streams=sockets) as both, trio.open_nursery() as nursery:
        ref = both.host.ref("b@worker")

        async def ask(text: str) -> None:
            assert await ref.ask(Say(text)) == f"b#1: {text}"

        await ask("alone")
        await ask("x" * 900_000)
        for n in range(100):
            nursery.start_soon(ask, str(n) * (n * 60))
    assert both.facts().late_replies == 0
