"""Many callers, each with a limit of his own: what stays of them in the worker and in the store.

The limiter of a worker takes one request of each from the service's store, a Valkey as the service
starts it. The limit's window is a second, so that it is soon seen whether all of them expire.
"""

from __future__ import annotations

import os

import msgspec
import trio

from sluice.actors.limits.callers import Caller
from sluice.actors.limits.limiter import Limiter
from sluice.actors.settings import LimitSettings, Rate
from sluice.actors.store import Patience, StoreClient, command

from . import clients, cpu, results
from .own_store import PATIENCE, own_store

WAITING = 64

_WARM_UP = 5000
"""Callers that do not count: more than a limiter remembers operations of."""
_EXPIRED_WITHIN = 30.0
_LOOK_EVERY = 0.1
_LIMITS = LimitSettings(ip=Rate(1, "second"))


class Orders(msgspec.Struct, frozen=True):
    """How many callers; the folder and the core of the Valkey."""

    callers: int
    folder: str
    core: int


async def measure(orders: Orders) -> results.LimitKeys:
    """Take one request of each, and wait until the store has forgotten them."""
    async with own_store(orders.folder, orders.core) as (client, valkey):
        return await _measure(client, valkey, orders.callers)


async def _measure(client: StoreClient, valkey: int, callers: int) -> results.LimitKeys:
    limiter = Limiter(_LIMITS, client)
    await _take(limiter, "before", _WARM_UP)
    await _left(client)
    expired = await _expired(client)
    worker, store = cpu.resident_alone(os.getpid()), cpu.resident(valkey)
    await _take(limiter, "counted", callers)
    grown = cpu.resident_alone(os.getpid()) - worker
    held = cpu.resident(valkey) - store
    statistics = limiter.statistics()
    left = await _left(client)
    return results.LimitKeys(
        callers=callers,
        by_store=statistics.by_store - _WARM_UP,
        worker=grown / 1e6,
        store=held / 1e6,
        expired=await _expired(client) - expired,
        left=left,
    )


async def _take(limiter: Limiter, name: str, callers: int) -> None:
    """One request of each caller, `WAITING` at a time."""

    async def some(first: int) -> None:
        for number in range(first, callers, WAITING):
            await limiter.take(Caller("ip", f"{name}-{number}"), Patience(PATIENCE))

    async with trio.open_nursery() as nursery:
        for first in range(WAITING):
            nursery.start_soon(some, first)


async def _left(client: StoreClient) -> int:
    """The keys that are still in the store, when all could have expired or it has taken long."""
    with trio.move_on_after(_EXPIRED_WITHIN):
        while await client.run(command("DBSIZE")):  # noqa: ASYNC110 -- nothing tells of it
            await trio.sleep(_LOOK_EVERY)
    left: int = await client.run(command("DBSIZE"))
    return left


async def _expired(client: StoreClient) -> int:
    """How many keys the store has let expire since its start."""
    told: bytes = await client.run(command("INFO", "stats", key=b""))
    lines = dict(line.split(b":", 1) for line in told.splitlines() if b":" in line)
    return int(lines[b"expired_keys"])


def main() -> None:
    """The program that measures."""
    clients.hand_in(trio.run(measure, clients.orders_as(Orders)))


if __name__ == "__main__":
    main()
