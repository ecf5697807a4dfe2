"""The rules in the pump's docstring, one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from tests.actors.fakes import FakePoller

from sluice.actors.streams.pump import BATCH, RECOVERIES, EpollPoller, Pump


class Sets:
    """Makes pollers, and remembers them."""

    def __init__(self) -> None:
        self.made: list[FakePoller] = []
        self.ready: dict[int, Callable[[], bool]] = {}

    def __call__(self) -> FakePoller:
        poller = FakePoller()
        poller.ready = self.ready
        self.made.append(poller)
        return poller


@pytest.fixture
def sets() -> Sets:
    return Sets()


@pytest.fixture
def faults() -> list[BaseException]:
    return []


@pytest.fixture
def pump(sets: Sets, faults: list[BaseException]) -> Pump:
    return Pump(sets, faults.append)


async def test_a_source_that_is_ready_is_called_until_it_is_not(pump: Pump, sets: Sets) -> None:
    left = [3]
    calls: list[int] = []

    def on_ready() -> None:
        left[0] -= 1
        calls.append(left[0])

    sets.ready[5] = lambda: left[0] > 0
    pump.add(5, on_ready)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        assert calls == [2, 1, 0]
        nursery.cancel_scope.cancel()


async def test_a_source_that_another_of_the_same_batch_removed_is_not_called(
    pump: Pump, sets: Sets
) -> None:
    calls: list[int] = []

    def first() -> None:
        calls.append(1)
        pump.remove(1)
        pump.remove(2)

    sets.ready[1] = sets.ready[2] = lambda: True
    pump.add(1, first)
    pump.add(2, lambda: calls.append(2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert calls == [1]


async def test_a_descriptor_that_was_reused_within_a_batch_gets_no_event_of_its_predecessor(
    pump: Pump, sets: Sets
) -> None:
    calls: list[str] = []
    ready = {1, 2}

    def first() -> None:
        calls.append("first")
        ready.clear()
        pump.remove(2)
        pump.add(2, lambda: calls.append("successor"))

    sets.ready[1] = lambda: 1 in ready
    sets.ready[2] = lambda: 2 in ready
    pump.add(1, first)
    pump.add(2, lambda: calls.append("predecessor"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert calls == ["first"]


async def test_a_source_that_raises_is_taken_out_and_told_and_takes_no_other_with_it(
    pump: Pump, sets: Sets, faults: list[BaseException]
) -> None:
    lost: list[BaseException | None] = []
    calls: list[int] = []
    broken = ValueError("broken")

    def bad() -> None:
        raise broken

    sets.ready[1] = lambda: True
    sets.ready[2] = lambda: not calls
    pump.add(1, bad, lost.append)
    pump.add(2, lambda: calls.append(2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert calls == [2]
    assert lost == [broken]
    assert faults == [broken]
    assert pump.statistics().faults == 1


async def test_when_the_pump_fails_streams_are_told_and_watchers_go_on(
    pump: Pump, sets: Sets, faults: list[BaseException]
) -> None:
    lost: list[BaseException | None] = []
    seen: list[int] = []
    ready: set[int] = set()
    sets.ready[1] = lambda: False
    sets.ready[2] = lambda: 2 in ready

    def watcher() -> None:
        ready.clear()
        seen.append(2)

    pump.add(1, lambda: None, lost.append)
    pump.add(2, watcher)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        sets.made[0].fault = OSError("no more")
        sets.made[0].poke()
        await trio.testing.wait_all_tasks_blocked()
        assert lost == [None]
        assert sets.made[0].closed
        assert pump.alive
        ready.add(2)
        sets.made[1].poke()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen == [2]
    assert len(faults) == 1


async def test_a_pump_that_fails_again_and_again_dies_and_tells_every_stream(
    pump: Pump, sets: Sets, faults: list[BaseException]
) -> None:
    lost: list[BaseException | None] = []

    def failing() -> FakePoller:
        poller = FakePoller()
        poller.fault = OSError("never")
        return poller

    pump._make_poller = failing
    sets.made[0].fault = OSError("first")
    pump.add(1, lambda: None, lost.append)
    await pump.run()
    assert not pump.alive
    assert lost == [None]
    assert len(faults) == RECOVERIES
    pump.add(2, lambda: None, lost.append)
    assert lost == [None, None]


async def test_a_turn_serves_no_more_than_a_batch(pump: Pump, sets: Sets) -> None:
    turns: list[int] = []
    left = set(range(1, BATCH + 11))
    for fd in tuple(left):
        sets.ready[fd] = lambda fd=fd: fd in left  # type: ignore[misc]

        def on_ready(fd: int = fd) -> None:
            left.discard(fd)
            turns.append(pump.statistics().turns)

        pump.add(fd, on_ready)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not left
    assert max(turns.count(turn) for turn in turns) <= BATCH
    assert len(set(turns)) > 1


async def test_the_epoll_set_reports_a_socket_that_can_be_read_and_one_that_was_closed() -> None:
    ours, theirs = trio.socket.socketpair()
    poller = EpollPoller()
    with ours:
        poller.register(ours.fileno())
        assert poller.poll(8) == []
        await theirs.send(b"x")
        await poller.wait()
        assert [fd for fd, _ in poller.poll(8)] == [ours.fileno()]
        await ours.recv(1)
        theirs.close()
        await poller.wait()
        assert [fd for fd, _ in poller.poll(8)] == [ours.fileno()]
        poller.unregister(ours.fileno())
        assert poller.poll(8) == []
    poller.close()
    poller.close()
