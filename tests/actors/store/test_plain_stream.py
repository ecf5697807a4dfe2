"""The stream on which an embedded or unencrypted store is talked to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from sluice.actors.store.plain_stream import PlainStream

MUCH = b"x" * (4 * 2**20)
"""More than a socket takes while nobody reads."""


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[PlainStream, trio.SocketStream]]:
    """One end of a connection, and its peer's."""
    ours, theirs = (
        trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
    )
    stream = PlainStream(ours)
    async with theirs, stream:
        yield stream, theirs


async def test_what_one_end_sends_the_other_receives_and_the_end_is_told() -> None:
    async with connected() as (stream, peer):
        await stream.send_all(b"PING")
        assert await peer.receive_some() == b"PING"
        await peer.send_all(b"PONG")
        assert await stream.receive_some() == b"PONG"
        await peer.send_eof()
        assert await stream.receive_some() == b""


async def test_more_than_the_socket_takes_is_sent_as_the_peer_reads() -> None:
    async with connected() as (stream, peer):
        got = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, MUCH)
            while len(got) < len(MUCH):
                got += await peer.receive_some()
        assert bytes(got) == MUCH
        await stream.wait_send_all_might_not_block()


@pytest.mark.parametrize("waits", ["receiving", "sending"])
async def test_who_waits_when_it_is_closed_is_told_so(waits: str) -> None:
    async with connected() as (stream, _):

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await (stream.receive_some() if waits == "receiving" else stream.send_all(MUCH))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await stream.aclose()


async def test_a_closed_stream_refuses_whatever_is_asked_of_it_and_may_be_closed_again() -> None:
    async with connected() as (stream, _):
        await stream.aclose()
        await stream.aclose()
        for asked in (
            stream.send_all(b"PING"),
            stream.receive_some(),
            stream.wait_send_all_might_not_block(),
        ):
            with pytest.raises(trio.ClosedResourceError):
                await asked


async def test_a_connection_that_breaks_is_an_error_of_the_system() -> None:
    async with connected() as (stream, peer):
        await peer.aclose()
        with pytest.raises(OSError, match="pipe"):
            await stream.send_all(b"PING")


async def test_a_receive_that_is_cancelled_loses_nothing() -> None:
    async with connected() as (stream, peer):
        with trio.move_on_after(0) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        await peer.send_all(b"PONG")
        assert await stream.receive_some(2) == b"PO"
        assert await stream.receive_some() == b"NG"
