"""One ask of the engine, with its deadline, beside what any switch of task costs in trio."""

from __future__ import annotations

import time

import msgspec
import trio

from sluice.engine import Actor, ChildSpec, Message, SupervisorSpec, handler, open_system

from . import clients, results

_TIMEOUT = 5.0


class Double(Message[int], frozen=True):
    """What is asked: a number; the reply is twice that."""

    number: int


class Doubler(Actor):
    """Who is asked."""

    @handler
    def double(self, message: Double) -> int:
        """As little as a handler can do."""
        return 2 * message.number


class Orders(msgspec.Struct, frozen=True):
    """How many rounds, of how many asks and checkpoints each."""

    rounds: int
    count: int


async def measure(orders: Orders) -> list[results.Ask]:
    """Both, taking turns; the first round warms up and does not count.

    Nothing here waits, so this thread's processor time is the time without the neighbours'.
    """
    found = []
    spec = SupervisorSpec(id="root", children=[ChildSpec("doubler", Doubler)])
    async with open_system(spec) as system:
        doubler = system.ref("doubler")
        for _ in range(1 + orders.rounds):
            began = time.thread_time()
            for _ in range(orders.count):
                await trio.lowlevel.checkpoint()
            between = time.thread_time()
            for number in range(orders.count):
                await doubler.ask(Double(number), timeout=_TIMEOUT)
            ended = time.thread_time()
            micro = 1e6 / orders.count
            found.append(results.Ask((between - began) * micro, (ended - between) * micro))
    return found[1:]


def main() -> None:
    """The program that measures, on the server's core."""
    clients.hand_in(trio.run(measure, clients.orders_as(Orders)))


if __name__ == "__main__":
    main()
