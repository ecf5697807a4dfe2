"""Who accepts, of several workers that accept at the same sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
import trio

from sluice.http.listener import SharedListener
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


class Page:
    """A page for three workers, and the time that their clock tells."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.now = 1_000_000_000_000

    def worker(self, place: int, owner: int = 1) -> Spread:
        made = Spread(self._descriptor, place, owner, lambda: self.now)
        made.open()
        return made


@pytest.fixture
def page() -> Iterator[Page]:
    descriptor = make_page(3)
    yield Page(descriptor)
    os.close(descriptor)


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
    two.beat()
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
