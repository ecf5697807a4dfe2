"""The time to the first chunk, under 32 paced streams: from sending a request to ``data:``.

Each stream is a loop of its own that asks again when its answer is whole. Their beginnings are
spread over the length of an answer: users do not arrive in step, and 32 requests at the very
same instant would measure a queue instead.
"""

from __future__ import annotations

import gc
import random
import time

import msgspec
import trio

from . import clients, results
from .contestants import Address

STREAMS = 32

_ANSWER = 0.2  # seconds that a paced answer takes
_WARM_UP = 1  # answers of every stream that do not count
_SEED = 7


class Orders(msgspec.Struct, frozen=True):
    """Where to ask, with how many streams, how often each."""

    address: Address
    streams: int
    answers: int


async def measure(orders: Orders) -> list[float]:
    """Seconds to the first chunk, of every answer but each stream's first."""
    found: list[float] = []
    with trio.fail_after(30 + 10 * _ANSWER * orders.answers):
        async with trio.open_nursery() as nursery:
            for number in range(orders.streams):
                delay = _ANSWER * number / orders.streams
                nursery.start_soon(_ask_again_and_again, orders, number, delay, found)
    return found


async def _ask_again_and_again(
    orders: Orders, number: int, delay: float, found: list[float]
) -> None:
    pauses = random.Random(_SEED + number)  # noqa: S311 - the same load for all, not a secret
    stream = clients.Stream(orders.address)
    try:
        await stream.connect()
        await trio.sleep(delay)
        for answer in range(_WARM_UP + orders.answers):
            sent = time.perf_counter()
            await stream.ask()
            await stream.until(b"data:")
            if answer >= _WARM_UP:
                found.append(time.perf_counter() - sent)
            await stream.to_end()
            await trio.sleep(pauses.uniform(0, _ANSWER / 10))
    finally:
        stream.close()


def summary(found: list[float]) -> results.FirstChunk:
    """P50 and P99 in milliseconds."""
    return results.FirstChunk(
        results.percentile(found, 0.50) * 1000, results.percentile(found, 0.99) * 1000
    )


def main() -> None:
    """The load client."""
    orders = clients.orders_as(Orders)
    gc.disable()
    clients.hand_in(trio.run(measure, orders))


if __name__ == "__main__":
    main()
