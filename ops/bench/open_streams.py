"""Thousands of open streams through one worker: are all alive, and what memory do they take.

The upstream holds every stream, with a chunk every few seconds, until it is released. Memory
is read when all are open and each has got a chunk since.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable

import msgspec
import trio

from . import clients, cpu, results
from .contestants import Address

STREAMS = 5000

_OPENING = 64  # at a time, so that no backlog is the limit
_STEP_WITHIN = 60.0


class Orders(msgspec.Struct, frozen=True):
    """Where to open how many streams, the process to look at, and the upstream's own port."""

    address: Address
    streams: int
    pid: int
    upstream: int


class Crowd:
    """Many streams, those that are left: a stream that fails at a step is out, and counted so."""

    def __init__(self, address: Address, count: int, opening: int = _OPENING) -> None:
        """``opening``: how many open at a time."""
        self._opening = trio.CapacityLimiter(opening)
        self._all = [clients.Stream(address, number) for number in range(count)]
        self._left = list(self._all)

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._left)} of {len(self._all)} streams>"

    async def open(self) -> int:
        """Connect all and wait for each one's first chunk; how many are left."""
        return await self._each(self._open_one)

    async def live(self) -> int:
        """Wait for one more chunk on each; how many are left."""
        return await self._each(clients.Stream.more)

    async def end(self) -> int:
        """Read each one to its end marker; how many are left."""
        return await self._each(clients.Stream.to_end)

    def close(self) -> None:
        """Leave them all."""
        for stream in self._all:
            stream.close()

    async def _open_one(self, stream: clients.Stream) -> None:
        async with self._opening:
            await stream.connect()
            await stream.ask()
            await stream.until(b"data:")

    async def _each(self, step: Callable[[clients.Stream], Awaitable[None]]) -> int:
        well = []

        async def attempt(stream: clients.Stream) -> None:
            try:
                await step(stream)
            except (OSError, clients.LostError):
                return
            well.append(stream)

        with trio.move_on_after(_STEP_WITHIN):
            async with trio.open_nursery() as nursery:
                for stream in self._left:
                    nursery.start_soon(attempt, stream)
        self._left = well
        return len(well)


async def measure(orders: Orders) -> results.OpenStreams:
    """Open the streams, look at the memory while all live, and see them end."""
    before = cpu.resident(orders.pid)
    crowd = Crowd(orders.address, orders.streams)
    try:
        await tell_upstream(orders.upstream, "/hold")
        began, used = time.perf_counter(), cpu.seconds(orders.pid)
        opened = await crowd.open()
        seconds, used = time.perf_counter() - began, cpu.seconds(orders.pid) - used
        alive = await crowd.live()
        grown = cpu.resident(orders.pid) - before
        await tell_upstream(orders.upstream, "/release")
        complete = await crowd.end()
    finally:
        crowd.close()
    return results.OpenStreams(
        asked=orders.streams,
        opened=opened,
        alive=alive,
        complete=complete,
        kilobytes=grown / 1000 / max(1, alive),
        seconds=seconds,
        microseconds=used * 1e6 / max(1, opened),
    )


async def tell_upstream(port: int, path: str) -> None:
    """Have the upstream hold its held streams from now on, or release them all."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        await stream.send_all(request.encode())
        async for _ in stream:
            pass


def main() -> None:
    """The load client."""
    orders = clients.orders_as(Orders)
    gc.disable()
    clients.hand_in(trio.run(measure, orders))


if __name__ == "__main__":
    main()
