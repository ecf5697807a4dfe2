"""An operation of the store, through the service's client, on a Valkey as the service starts it.

What is asked is what a cache asks: ``SET`` and ``GET`` of 2 kB, in turn. Client and Valkey have
a core each. One operation at a time shows how long it takes; with many waiting, what it costs.
"""

from __future__ import annotations

import time

import msgspec
import trio

from sluice.actors.store import StoreClient, command, key

from . import clients, cpu, results
from .own_store import own_store

WAITING = 64
VALUE = b"x" * 2000


class Orders(msgspec.Struct, frozen=True):
    """How many rounds, of how many operations each; the folder and the core of the Valkey."""

    rounds: int
    count: int
    folder: str
    core: int


async def measure(orders: Orders) -> list[results.StoreOperation]:
    """Each round one by one, then many at a time; the first warms up and does not count."""
    async with own_store(orders.folder, orders.core) as (client, valkey):
        found = [await _round(client, valkey, orders.count) for _ in range(1 + orders.rounds)]
    return found[1:]


async def _round(client: StoreClient, valkey: int, count: int) -> results.StoreOperation:
    alone = max(2, count // 10)
    began = time.perf_counter()
    await _set_and_get(client, 0, alone)
    took = time.perf_counter() - began
    each = max(2, count // WAITING)
    theirs, ours = cpu.seconds(valkey), time.process_time()
    async with trio.open_nursery() as nursery:
        for number in range(WAITING):
            nursery.start_soon(_set_and_get, client, number, each)
    ours = time.process_time() - ours
    theirs = cpu.seconds(valkey) - theirs
    micro = 1e6 / (each * WAITING)
    return results.StoreOperation(ours * micro, theirs * micro, took * 1e6 / alone)


async def _set_and_get(client: StoreClient, number: int, count: int) -> None:
    name = key("bench", str(number))
    ops = [command("SET", name, VALUE), command("GET", name)]
    for turn in range(count):
        await client.run(ops[turn % 2])


def main() -> None:
    """The program that measures."""
    clients.hand_in(trio.run(measure, clients.orders_as(Orders)))


if __name__ == "__main__":
    main()
