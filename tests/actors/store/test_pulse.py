"""A store that nobody uses just now is known to be well, full or gone: on virtual time."""

from __future__ import annotations

import pytest
import trio
from tests.actors.store.fake_store import World, echo
from trio.testing import MockClock

from sluice.actors.store import StoreRefused, StoreUnavailable, command
from sluice.actors.store.channel import PULSE, Change

GET = command("GET", "a")
SET = command("SET", "a", "1")
CONNECTED = Change("fake", "usable", "not connected yet")
OOM = "OOM command not allowed when used memory > 'maxmemory'."


class Filling:
    """A server that takes no writes while it is ``full``."""

    def __init__(self, said: str = OOM) -> None:
        self.full = True
        self.said = said

    def __call__(self, words: list[bytes]) -> bytes:
        return b"-%b\r\n" % self.said.encode() if words[0] == b"SET" and self.full else echo(words)


async def test_a_store_that_falls_silent_while_nobody_asks_is_passed_by(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.answer = lambda _: None
    world.fake.up = False
    await trio.sleep(2 * PULSE + 0.01)
    lost = Change("fake", "passed_by", "the store did not answer in time")
    assert world.changes == [CONNECTED, lost]
    with pytest.raises(StoreUnavailable):
        await world.client.run(GET)


async def test_a_store_that_is_slow_while_nobody_asks_is_not_passed_by(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.delay = 0.9 * PULSE
    await trio.sleep(10 * PULSE)
    assert world.changes == [CONNECTED]


@pytest.mark.parametrize(
    "said",
    [
        OOM,
        "MISCONF Errors writing to the AOF file: No space left on device",
        "NOREPLICAS Not enough good replicas to write.",
    ],
)
async def test_a_full_store_is_told_of_once_whoever_writes_and_until_it_takes_writes(
    nursery: trio.Nursery, autojump_clock: MockClock, said: str
) -> None:
    filling = Filling(said)
    world = await World(nursery, filling).connected()
    for _ in range(50):
        with pytest.raises(StoreRefused):
            await world.client.run(SET)
        assert await world.client.run(GET) == b"a"
        await trio.sleep(PULSE / 5)
    assert world.changes == [CONNECTED, Change("fake", "full", said)]
    assert world.client.trouble() == f"full and takes no writes: fake: {said}"
    assert not world.client.statistics().usable
    assert world.client.counts.faults == 0
    filling.full = False
    await trio.sleep(2 * PULSE)
    assert world.changes[2:] == [Change("fake", "usable", said)]
    assert world.client.trouble() is None
    assert len(world.fake.dials) == 1


async def test_a_store_is_known_to_be_full_though_nobody_writes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, Filling()).connected()
    await trio.sleep(2 * PULSE)
    assert world.changes == [CONNECTED, Change("fake", "full", OOM)]


async def test_a_full_store_that_goes_is_passed_by(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, Filling()).connected()
    await trio.sleep(2 * PULSE)
    world.fake.up = False
    await world.fake.cut()
    await trio.sleep(PULSE)
    assert [change.state for change in world.changes] == ["usable", "full", "passed_by"]
    assert world.client.counts.faults == 1


@pytest.mark.parametrize(
    "said", ["READONLY You can't write against a replica.", "NOPERM this user has no permissions"]
)
async def test_a_store_that_does_not_take_our_writes_any_more_is_left_though_nobody_writes(
    nursery: trio.Nursery, autojump_clock: MockClock, said: str
) -> None:
    world = await World(nursery).connected()
    world.fake.answer = Filling(said)
    world.fake.up = False
    await trio.sleep(2 * PULSE)
    assert [change.state for change in world.changes] == ["usable", "passed_by"]
    assert said in world.changes[1].reason


async def test_a_probe_writes_nothing_into_the_store(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    await trio.sleep(10 * PULSE)
    (probe,) = {tuple(words) for piece in world.fake.pieces for words in piece}
    assert probe == (b"SET", b"sluice:1:probe", b"", b"XX")


async def test_a_fault_is_one_however_many_operations_it_costs(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: None).connected()
    world.fake.up = False

    async def ask() -> None:
        with pytest.raises(StoreUnavailable):
            await world.client.run(GET)

    async with trio.open_nursery() as asking:
        for _ in range(64):
            asking.start_soon(ask)
    for _ in range(1000):
        await ask()
    await trio.sleep(60)
    counts = world.client.statistics().counts
    assert (counts.lost, counts.passed_by, counts.faults, counts.connects) == (64, 1000, 1, 1)
