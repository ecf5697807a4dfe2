"""The child's side of a link, in the test's own process: its parent is the other socket.

The parent's socket stays open until the block is left: a parent that closes it ends the process.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio
from tests.engine.programs.messages import PROTOCOL

from sluice.engine import LinkLost, join
from sluice.engine._frame import VERSION, Hello, pack
from sluice.engine._join import VARIABLE

GARBAGE = b"\xff" * 64


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The parent's end of a link; it has said hello."""
    here, there = socket.socketpair()
    monkeypatch.setenv(VARIABLE, f"{there.detach()}:w:host:1")
    with here:
        here.sendall(pack(Hello(VERSION, "host", 1)))
        yield here


def test_a_block_whose_link_ends_is_left_by_link_lost(parent: socket.socket) -> None:
    async def be_a_child() -> None:
        async with join(PROTOCOL):
            parent.sendall(GARBAGE)
            await trio.sleep_forever()

    with pytest.raises(LinkLost, match="link to host has ended: the peer sent what is not allowed"):
        trio.run(be_a_child)  # a run of its own: Cancelled would be lost in the test's


def test_link_lost_is_raised_through_nurseries_in_the_block(parent: socket.socket) -> None:
    async def be_a_child() -> None:
        async with join(PROTOCOL), trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(trio.sleep_forever)
            inner.start_soon(trio.sleep_forever)
            parent.sendall(GARBAGE)

    with pytest.raises(LinkLost, match="link to host has ended: the peer sent what is not allowed"):
        trio.run(be_a_child)  # a run of its own: Cancelled would be lost in the test's


@pytest.mark.usefixtures("parent")
async def test_a_block_that_is_cancelled_from_outside_has_not_lost_its_link() -> None:
    with trio.CancelScope() as scope:
        async with join(PROTOCOL), trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
    assert scope.cancelled_caught


async def test_what_a_block_raises_itself_is_not_taken_for_a_lost_link(
    parent: socket.socket,
) -> None:
    async def fail_at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("its own")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="its own")):
        async with join(PROTOCOL), trio.open_nursery() as nursery:
            nursery.start_soon(fail_at_the_end)
            await trio.lowlevel.checkpoint()
            parent.sendall(GARBAGE)
