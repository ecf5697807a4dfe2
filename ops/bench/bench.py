"""One run of the benchmark: what every measurement needs, and how contestants are compared."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from . import first_chunk, load
from .clients import run_client
from .contestants import Contestant, Kind, Starter, Upstream, pass_through
from .plan import Plan
from .programs import Ground, Program
from .results import DIRECT, FirstChunk, Results

WARM_UP = 1.0
"""Seconds of load that does not count."""
SLACK = 60.0
"""Seconds that a client has beyond what it was told to do."""

T = TypeVar("T")


class Bench(msgspec.Struct, frozen=True):
    """What every measurement needs: the ground, the upstream that runs, who takes part."""

    ground: Ground
    provider: Program
    upstream: Upstream
    starters: Sequence[Starter]
    plan: Plan
    results: Results

    @contextlib.contextmanager
    def contestants(self) -> Iterator[list[Contestant]]:
        """All who take part, freshly started; they end with the block."""
        with contextlib.ExitStack() as stack:
            yield [
                stack.enter_context(start(self.ground, self.upstream)) for start in self.starters
            ]

    @property
    def direct(self) -> Contestant:
        """The upstream itself, as if it were one of them."""
        port = self.upstream.plain
        return Contestant(DIRECT, self.provider, pass_through({port: port}, self.upstream))

    def warm_up(
        self, contestant: Contestant, kind: Kind, asking: load.Asking | None = None
    ) -> None:
        """See that it passes on the upstream's answer, and load it a moment."""
        load.probe(contestant.addresses[kind], asking)
        load.run(contestant.addresses[kind], self.ground, WARM_UP, asking)

    def in_turns(
        self, what: str, contestants: Sequence[Contestant], measure: Callable[[Contestant], T]
    ) -> dict[str, list[T]]:
        """What ``measure`` finds of each, round by round; in each round all, one by one."""
        found: dict[str, list[T]] = {contestant.name: [] for contestant in contestants}
        for number in range(self.plan.rounds):
            for contestant in contestants:
                say(f"{what}: {contestant.name}, round {number + 1}")
                found[contestant.name].append(measure(contestant))
        return found

    def at_the_same_time(
        self, what: str, contestants: Sequence[Contestant], measure: Callable[[Contestant], T]
    ) -> dict[str, list[T]]:
        """What ``measure`` finds of each, round by round; in each round all at the same time.

        They share the server's core, and whatever else happens to the machine: where one is to
        be compared with another, and nobody needs all of a core, that is far steadier than turns.
        """
        found: dict[str, list[T]] = {contestant.name: [] for contestant in contestants}
        with ThreadPoolExecutor(len(contestants)) as pool:
            for number in range(self.plan.rounds):
                say(f"{what}: {' and '.join(found)}, round {number + 1}")
                for name, one in zip(found, pool.map(measure, contestants), strict=True):
                    found[name].append(one)
        return found

    def first_chunk(self, contestant: Contestant) -> FirstChunk:
        """One round of time to the first chunk."""
        orders = first_chunk.Orders(
            contestant.addresses[Kind.PACED], first_chunk.STREAMS, self.plan.answers
        )
        found = self.client("first_chunk", orders, list[float], SLACK + orders.answers)
        return first_chunk.summary(found)

    def client(
        self,
        module: str,
        orders: msgspec.Struct,
        report: type[T],
        within: float = SLACK,
        core: int | None = None,
    ) -> T:
        """What a client reports, from ``core``, or from the load's; see `clients.run_client`."""
        return run_client(
            module=module,
            orders=orders,
            report=report,
            ground=self.ground,
            core=self.ground.load_core if core is None else core,
            within=within,
        )


def say(what: str) -> None:
    """Progress, beside the table that goes to standard output."""
    sys.stderr.write(f"  {what}\n")
    sys.stderr.flush()
