"""How long streams spread over the workers: which process has how many, when all are open.

They come in two ways: all at once, as clients do that were cut off together, and one after the
other. The upstream holds them until they are released.
"""

from __future__ import annotations

import gc

import msgspec
import trio

from . import clients, connections
from .contestants import Address
from .open_streams import Crowd, tell_upstream

STREAMS = 64


class Orders(msgspec.Struct, frozen=True):
    """Where to open how many streams, the family to look at, and the upstream's own port."""

    address: Address
    streams: int
    opening: int
    """How many at a time."""
    pid: int
    upstream: int


async def measure(orders: Orders) -> list[int]:
    """The streams of each process that has some, most first. Raises `clients.LostError`."""
    crowd = Crowd(orders.address, orders.streams, orders.opening)
    try:
        await tell_upstream(orders.upstream, "/hold")
        opened = await crowd.open()
        if opened < orders.streams:
            raise clients.LostError(f"of {orders.streams} streams, {opened} were opened")
        held = connections.held(orders.pid, orders.address.port)
        await tell_upstream(orders.upstream, "/release")
        complete = await crowd.end()
        if complete < opened:
            raise clients.LostError(f"of {opened} streams, {complete} ended well")
    finally:
        crowd.close()
    return sorted(filter(None, held.values()), reverse=True)


def main() -> None:
    """The load client."""
    orders = clients.orders_as(Orders)
    gc.disable()
    clients.hand_in(trio.run(measure, orders))


if __name__ == "__main__":
    main()
