"""Who accepts, of several workers that accept at the same sockets."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing
from tests.http.edge_world import App, reraise

from sluice.actors.streams.pump import EpollPoller, Pump
from sluice.http.asgi import Receive, Scope, Send
from sluice.http.edge_settings import EdgeSettings
from sluice.http.edge_state import EdgeState
from sluice.http.listener import AT_ONCE, SharedListener
from sluice.http.server import bind, serve
from sluice.http.spread import PATIENCE, STALE, Spread, is_clearly_above, make_page


@pytest.mark.parametrize(
    ("own", "others", "above"),
    [
        (0, [], False),
        (1000, [], False),  # nobody else: it takes all
        (1, [0], False),
        (2, [0], False),
        (3, [0], True),
        (34, [30], True),
        (33, [31], False),
        (5, [9], False),
        (500, [500, 500, 500], False),
        (560, [500, 500, 500], True),
    ],
)
def test_a_worker_clearly_above_the_average_leaves_connections_to_others(
    own: int, others: list[int], *, above: bool
) -> None:
    assert is_clearly_above(own, others) is above


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_of_64_connections_none_has_more_than_a_share_and_a_tenth(workers: int) -> None:
    """However the race goes: the first that may, takes."""
    loads = [0] * workers
    for _ in range(64):
        first = next(
            each
            for each in range(workers)
            if not is_clearly_above(loads[each], loads[:each] + loads[each + 1 :])
        )
        loads[first] += 1
    assert max(loads) <= 64 / workers * 1.1 + 1


class Asked(Spread):
    """One that counts how often it was asked whether to leave connections to others."""

    asked = 0

    def leaves(self) -> bool:
        self.asked += 1
        return super().leaves()


class Page:
    """A page for three workers, and the time that their clock tells."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._made: list[Asked] = []
        self.now = 1_000_000_000_000

    def worker(self, place: int, owner: int = 1) -> Asked:
        made = Asked(self._descriptor, place, owner, lambda: self.now)
        self._made.append(made)
        made.open()
        return made

    def close(self) -> None:
        """End with all workers, each of which has the page as long as its process lives."""
        for each in self._made:
            each._words.release()
            each._memory.close()
        os.close(self._descriptor)


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page(make_page(3))
    yield made
    made.close()


def test_each_sees_how_busy_the_others_are(page: Page) -> None:
    one, two = page.worker(0), page.worker(2)
    one.write(7)
    two.write(3)
    assert (one.others(), two.others()) == ([3], [7])
    one.count_accepted()
    assert two.others() == [8]
    assert one.leaves()
    assert not two.leaves()


def test_who_gives_no_sign_of_life_is_left_out(page: Page) -> None:
    one, two = page.worker(0), page.worker(1)
    one.write(50)
    assert one.leaves()
    page.now += int(STALE * 1e9) + 1
    assert not one.leaves()
    two.write(0)
    assert one.leaves()


def test_who_accepts_no_more_is_left_out(page: Page) -> None:
    one, two = page.worker(0), page.worker(1)
    one.write(50)
    two.close()
    assert one.others() == []
    two.write(1)
    assert one.others() == []


def test_a_successor_has_the_place_from_its_start_on(page: Page) -> None:
    one, old = page.worker(0), page.worker(1, owner=1)
    old.write(40)
    new = page.worker(1, owner=2)
    old.write(41)
    old.close()
    assert one.others() == [0]
    new.write(2)
    assert one.others() == [2]


def test_who_would_only_refuse_draws_nothing_and_leaves_what_waits_to_others(page: Page) -> None:
    """It is quick, and idle: by its load alone it would have every connection."""
    one, two = page.worker(0), page.worker(1)
    one.write(10)
    two.write(0, takes=False)
    assert not one.leaves()
    assert two.leaves()
    two.count_accepted()
    assert one.others() == []
    two.write(0)
    assert one.leaves()
    assert not two.leaves()


def test_where_all_would_only_refuse_nobody_has_to_wait_for_it(page: Page) -> None:
    one, two = page.worker(0), page.worker(1)
    one.write(10, takes=False)
    two.write(0, takes=False)
    assert not one.leaves()
    assert not two.leaves()


# -- what an edge tells --------------------------------------------------------------------------


def test_an_edge_tells_at_once_and_with_each_beat_whether_its_application_takes_work(
    page: Page,
) -> None:
    mine, other = page.worker(0), page.worker(1)
    takes = True
    state = EdgeState(EdgeSettings(), spread=mine, takes=lambda: takes)
    state.listens()
    assert other.others() == [0]
    takes = False
    state.opened()
    assert other.others() == []
    takes = True
    state.tell()
    assert other.others() == [1]


def test_an_edge_full_of_idle_connections_is_left_no_new_ones(page: Page) -> None:
    mine, other = page.worker(0), page.worker(1)
    state = EdgeState(EdgeSettings(max_connections=2), spread=mine)
    for _ in range(2):
        state.opened()
        state.rests()
    assert other.others() == []
    assert mine.leaves()
    state.goes_on()
    state.closed()
    assert other.others() == [0]


def test_a_connection_that_is_turned_away_is_no_load(page: Page) -> None:
    mine = page.worker(0)
    state = EdgeState(EdgeSettings(max_connections=1), spread=mine)
    state.opened()
    for _ in range(100):
        mine.count_accepted()
        state.turned_away()
    assert mine.load == state.open == 1
    assert state.counts.turned_away == 100


def test_an_edge_that_drains_before_it_listens_does_not_take_its_place_again(page: Page) -> None:
    mine, other = page.worker(0), page.worker(1)
    state = EdgeState(EdgeSettings(), spread=mine)
    state.drain()
    state.listens()
    assert other.others() == []


async def test_a_server_has_its_place_once_it_listens_and_not_while_it_starts(
    page: Page,
) -> None:
    mine, other = page.worker(0), page.worker(1)
    mine.close()
    at_startup: list[list[int]] = []

    class Starting(App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            at_startup.append(other.others())
            await super().__call__(scope, receive, send)

    settings, end = EdgeSettings(), trio.Event()
    state = EdgeState(settings, spread=mine)
    pump = Pump(EpollPoller, reraise)
    run = functools.partial(
        serve,
        Starting(),
        bind(["127.0.0.1:0"], 16),
        settings,
        pump,
        state=state,
        shutdown_trigger=end.wait,
    )
    async with trio.open_nursery() as pumping:
        pumping.start_soon(pump.run)
        async with trio.open_nursery() as serving:
            await serving.start(run)
            assert at_startup == [[]]
            assert other.others() == [0]
            end.set()
        assert other.others() == []
        pumping.cancel_scope.cancel()


# -- the listener --------------------------------------------------------------------------------


class Door:
    """A listening socket, and the listener of one of two workers."""

    def __init__(self, page: Page) -> None:
        self.stdlib = socket.create_server(("127.0.0.1", 0))
        self.stdlib.setblocking(False)
        self.taken = trio.Event()
        self.mine, self.other = page.worker(0), page.worker(1)
        self.listener = SharedListener(trio.socket.from_stdlib_socket(self.stdlib.dup()), self.mine)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self.stdlib.getsockname())


@pytest.fixture
async def door(page: Page) -> Door:
    return Door(page)


async def test_a_connection_is_accepted_and_counted_at_once(door: Door) -> None:
    async with door.listener, await door.connect(), await door.listener.accept():
        door.stdlib.close()
        assert not door.mine.leaves()
        assert door.other.others() == [1]


async def test_a_connection_that_another_worker_takes_is_left_to_it(
    door: Door, nursery: trio.Nursery
) -> None:
    door.mine.write(10)
    accepted, taken = trio.open_memory_channel[trio.SocketStream](1)

    async def accept() -> None:
        await accepted.send(await door.listener.accept())

    async with door.listener, await door.connect():
        nursery.start_soon(accept)
        nursery.start_soon(_take, door)
        async with await _second(door) as second, await taken.receive() as stream:
            assert stream.socket.getpeername() == second.socket.getsockname()
        door.stdlib.close()


async def _take(door: Door) -> None:
    await trio.lowlevel.wait_readable(door.stdlib)
    door.stdlib.accept()[0].close()
    door.other.write(10)
    door.taken.set()


async def _second(door: Door) -> trio.SocketStream:
    """A client that comes when the first one has been taken."""
    await door.taken.wait()
    return await door.connect()


async def test_a_connection_that_nobody_else_takes_is_taken_all_the_same(door: Door) -> None:
    door.mine.write(10)
    began = trio.current_time()
    async with door.listener, await door.connect(), await door.listener.accept():
        assert trio.current_time() - began >= PATIENCE
        door.stdlib.close()


async def test_one_waits_no_longer_once_it_is_not_above_the_others(
    door: Door, nursery: trio.Nursery
) -> None:
    door.mine.write(10)

    async def catch_up() -> None:
        await trio.lowlevel.checkpoint()
        door.other.write(10)

    async with door.listener, await door.connect():
        nursery.start_soon(catch_up)
        async with await door.listener.accept():
            assert door.other.others() == [11]
        door.stdlib.close()


async def test_all_that_waits_is_taken_once_patience_has_run_out(door: Door) -> None:
    """Behind one that lives and does not accept, the last does not wait for each before it."""
    door.mine.write(10)
    began = trio.current_time()
    async with door.listener, AsyncExitStack() as clients:
        for _ in range(20):
            await clients.enter_async_context(await door.connect())
        await (await door.listener.accept()).aclose()
        assert trio.current_time() - began >= PATIENCE
        asked = door.mine.asked
        for _ in range(19):
            await (await door.listener.accept()).aclose()
        assert door.mine.asked == asked
        door.stdlib.close()


async def test_several_that_wait_are_taken_at_once_and_counted(door: Door) -> None:
    async with door.listener, AsyncExitStack() as clients:
        for _ in range(3 * AT_ONCE):
            await clients.enter_async_context(await door.connect())
        door.mine.write(0)
        door.other.write(1000)
        await (await door.listener.accept()).aclose()
        assert door.other.others() == [AT_ONCE]
        with trio.testing.assert_no_checkpoints():
            streams = [await door.listener.accept() for _ in range(AT_ONCE - 1)]
        assert door.other.others() == [AT_ONCE]
        for stream in streams:
            await stream.aclose()
        door.stdlib.close()


async def test_of_those_that_wait_only_so_many_are_taken_as_there_is_room_for(door: Door) -> None:
    async with door.listener, AsyncExitStack() as clients:
        for _ in range(AT_ONCE):
            await clients.enter_async_context(await door.connect())
        door.other.write(1000)
        for room, taken in ((3, 3), (0, 4)):  # whoever is one too many is told so
            door.mine.write(door.mine.load, room=room)
            while door.mine.load < taken:
                await (await door.listener.accept()).aclose()
            assert door.mine.load == taken
        await trio.testing.wait_all_tasks_blocked()
        door.stdlib.close()


async def test_of_those_that_wait_the_ones_above_the_average_are_left_to_others(
    door: Door, nursery: trio.Nursery
) -> None:
    async with door.listener, AsyncExitStack() as clients:
        for _ in range(AT_ONCE):
            await clients.enter_async_context(await door.connect())
        door.mine.write(0)
        door.other.write(0)
        await (await door.listener.accept()).aclose()
        assert door.other.others() == [3]  # by then it is clearly above
        door.stdlib.close()


async def test_what_was_taken_and_not_handed_out_is_closed_with_the_listener(door: Door) -> None:
    async with AsyncExitStack() as clients:
        streams = [await clients.enter_async_context(await door.connect()) for _ in range(2)]
        door.other.write(1000)
        first = await door.listener.accept()
        await door.listener.aclose()
        assert await streams[1].receive_some() == b""
        await first.aclose()
        door.stdlib.close()


async def test_others_are_asked_again_once_nothing_waited(door: Door) -> None:
    door.mine.write(10)

    async def accept() -> None:
        await (await door.listener.accept()).aclose()

    async with door.listener, AsyncExitStack() as clients:
        await clients.enter_async_context(await door.connect())
        await accept()
        asked = door.mine.asked
        async with trio.open_nursery() as accepting:
            accepting.start_soon(accept)
            await trio.testing.wait_all_tasks_blocked()
            await clients.enter_async_context(await door.connect())
        assert door.mine.asked > asked
        door.stdlib.close()


async def test_a_worker_that_only_refuses_leaves_a_connection_to_a_busy_one(
    door: Door, nursery: trio.Nursery
) -> None:
    """Both wait for it."""
    door.mine.write(10)
    door.other.write(0, takes=False)
    refusing = SharedListener(trio.socket.from_stdlib_socket(door.stdlib.dup()), door.other)
    nursery.start_soon(_refuse_all, refusing)
    async with door.listener, refusing:
        async with await door.connect(), await door.listener.accept():
            assert door.other.others() == [11]
        door.stdlib.close()
        nursery.cancel_scope.cancel()


async def _refuse_all(listener: SharedListener) -> None:
    while True:
        await (await listener.accept()).aclose()
