"""The connection manager takes back what was returned before it decides anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio.testing

from sluice.actors.slots.connections import Acquire, Connections, Count, Granted, Refused
from sluice.actors.slots.returns import Returns
from sluice.actors.slots.slots import Slots
from sluice.engine import ChildSpec, Ref, SupervisorSpec, System, open_system


class Streams:
    """Those who ask for slots and give them back."""

    def __init__(self, limit: int = 2) -> None:
        self.slots = Slots(limit, 0.8)
        self.returns = Returns()

    async def begin(self, ref: Ref, name: str) -> bool:
        reply = await ref.ask(Acquire(name))
        return isinstance(reply, Granted)

    def end(self, name: str) -> None:
        self.returns.put(name)


@asynccontextmanager
async def manager(streams: Streams) -> AsyncIterator[System]:
    child = ChildSpec("connections", lambda: Connections(streams.slots, streams.returns))
    async with open_system(SupervisorSpec("root", children=[child])) as system:
        yield system


async def test_a_slot_that_was_returned_is_granted_to_the_next_one() -> None:
    streams = Streams()
    async with manager(streams) as system:
        ref = system.ref("connections")
        assert await streams.begin(ref, "a")
        assert await streams.begin(ref, "b")
        reply = await ref.ask(Acquire("c"))
        assert isinstance(reply, Refused)
        streams.end("a")
        assert await streams.begin(ref, "c")
        assert not await streams.begin(ref, "d")


async def test_a_name_that_never_had_a_slot_frees_none() -> None:
    streams = Streams(limit=1)
    async with manager(streams) as system:
        ref = system.ref("connections")
        assert await streams.begin(ref, "a")
        streams.end("stranger")
        assert not await streams.begin(ref, "b")


async def test_what_is_counted_is_what_is_held_now() -> None:
    streams = Streams()
    async with manager(streams) as system:
        ref = system.ref("connections")
        await streams.begin(ref, "a")
        await streams.begin(ref, "b")
        streams.end("b")
        assert (await ref.ask(Count())).active == 1
        assert system.inspect("connections").domain.active == 1  # type: ignore[union-attr]
        assert len(streams.returns) == 0


@pytest.mark.parametrize("how", ["restart", "stop"])
async def test_what_ends_around_a_restart_is_neither_lost_nor_granted_twice(
    how: str, autojump_clock: trio.testing.MockClock
) -> None:
    streams = Streams()
    async with manager(streams) as system:
        ref = system.ref("connections")
        await streams.begin(ref, "a")
        await streams.begin(ref, "b")
        if how == "stop":
            await system.stop("connections")
        streams.end("a")
        await system.restart("connections")
        assert (await ref.ask(Count())).active == 1
        assert await streams.begin(ref, "c")
        assert not await streams.begin(ref, "d")
