"""How soon the provider's connection is closed when a client leaves in the middle of a stream.

The provider is this program too, so that one clock sees both ends.
"""

from __future__ import annotations

import time
from math import inf

import msgspec
import trio

from . import chunks, clients
from .contestants import Address

_WITHIN = 30.0
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Orders(msgspec.Struct, frozen=True):
    """Where to ask, where to be the provider, and how often a client leaves."""

    address: Address
    provider: int
    times: int


async def measure(orders: Orders) -> list[float]:
    """Milliseconds from each client's leaving to the close of its provider's connection."""
    closed, closings = trio.open_memory_channel[float](inf)

    async def provide(stream: trio.SocketStream) -> None:
        await closed.send(await _stream_until_closed(stream))

    found = []
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_tcp, provide, orders.provider)
        for _ in range(orders.times):
            with trio.fail_after(_WITHIN):
                left = await _ask_and_leave(orders.address)
                found.append((await closings.receive() - left) * 1000)
        nursery.cancel_scope.cancel()
    return found


async def _ask_and_leave(address: Address) -> float:
    stream = clients.Stream(address)
    await stream.connect()
    await stream.ask()
    await stream.until(b"data:")
    stream.close()
    return time.perf_counter()


async def _stream_until_closed(stream: trio.SocketStream) -> float:
    """Answer with two chunks, then wait; when the connection was closed or reset."""
    frames = [frame.encode() for frame in chunks.frames()[:2]]
    try:
        await stream.receive_some()
        await stream.send_all(_HEAD + b"".join(b"%x\r\n%b\r\n" % (len(f), f) for f in frames))
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass
    return time.perf_counter()


def main() -> None:
    """The load client."""
    clients.hand_in(trio.run(measure, clients.orders_as(Orders)))


if __name__ == "__main__":
    main()
