"""An ask from one process to an actor of another, over the engine's link.

The parent asks, and its child answers, each on a core of its own, as host and worker are. One
ask at a time shows how long it takes; with many waiting, what it costs either side.
"""

from __future__ import annotations

import os
import sys
import time

import msgspec
import trio

from sluice.engine import (
    Actor,
    ChildSpec,
    Links,
    Message,
    ProcessSpec,
    Protocol,
    Ref,
    SupervisorSpec,
    handler,
    join,
    open_system,
)

from . import clients, results

WAITING = 64

_TIMEOUT = 5.0
_START = 30.0
_ANSWERER = "answerer"
_CHILD = "child"


class Double(Message[int], frozen=True):
    """What is asked: a number; the reply is twice that."""

    number: int


class Used(Message[float], frozen=True):
    """The reply is the processor time of the process, in seconds."""


class Answerer(Actor):
    """Who is asked."""

    @handler
    def double(self, message: Double) -> int:
        """As little as a handler can do."""
        return 2 * message.number

    @handler
    def used(self, _message: Used) -> float:
        """Of all threads."""
        return time.process_time()


class Orders(msgspec.Struct, frozen=True):
    """How many rounds, of how many asks each; the core on which the child answers."""

    rounds: int
    count: int
    core: int


PROTOCOL = Protocol([Double, Used])


async def measure(orders: Orders) -> list[results.LinkAsk]:
    """Each round asks one by one, then many at a time; the first warms up and does not count."""
    links = Links("parent", PROTOCOL)
    argv = [sys.executable, "-m", __spec__.name, _CHILD, str(orders.core)]
    child = ProcessSpec(_CHILD, argv).child(links, start_timeout=_START)
    async with open_system(SupervisorSpec("root", [child]), links=links) as system:
        ref = system.ref(f"{_ANSWERER}@{_CHILD}")
        found = [await _round(ref, orders.count) for _ in range(1 + orders.rounds)]
    return found[1:]


async def _round(ref: Ref, count: int) -> results.LinkAsk:
    alone = max(1, count // 10)
    began = time.perf_counter()
    await _ask_again_and_again(ref, alone)
    took = time.perf_counter() - began
    each = max(1, count // WAITING)
    theirs, ours = await ref.ask(Used(), timeout=_TIMEOUT), time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(WAITING):
            nursery.start_soon(_ask_again_and_again, ref, each)
    ours = time.process_time() - ours
    theirs = await ref.ask(Used(), timeout=_TIMEOUT) - theirs
    micro = 1e6 / (each * WAITING)
    return results.LinkAsk(ours * micro, theirs * micro, took * 1e6 / alone)


async def _ask_again_and_again(ref: Ref, count: int) -> None:
    for number in range(count):
        await ref.ask(Double(number), timeout=_TIMEOUT)


async def answer() -> None:
    """The child, until the parent has done."""
    root = SupervisorSpec("root", [ChildSpec(_ANSWERER, Answerer)])
    async with join(PROTOCOL) as joined, open_system(root, links=joined.links):
        joined.ready()
        await joined.wait_stop()


def main() -> None:
    """The program that measures, or the child that answers it."""
    if sys.argv[1] == _CHILD:
        os.sched_setaffinity(0, {int(sys.argv[2])})
        trio.run(answer)
    else:
        clients.hand_in(trio.run(measure, clients.orders_as(Orders)))


if __name__ == "__main__":
    main()
