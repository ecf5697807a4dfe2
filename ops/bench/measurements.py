"""The measurements by name: each starts whom it measures, and lets them take turns.

A machine is never quiet. So every round measures all contestants one after the other, and the
figures that matter are ratios within a round.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence

import msgspec

from . import asks, clients, cpu, first_chunk, leaving, load, open_streams
from .contestants import Contestant, Kind, Starter, Upstream, pass_through
from .plan import Plan
from .programs import Ground, Program
from .results import DIRECT, Ask, Cost, FirstChunk, OpenStreams, Results

_WARM_UP = 1.0  # seconds of load that does not count
_SLACK = 60.0
_OPEN_WITHIN = 300.0


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


def measure_cpu(bench: Bench) -> None:
    """Processor time a request before an HTTP upstream, chunks at once and paced."""
    _measure_costs(bench, (Kind.AT_ONCE, Kind.PACED))


def measure_cpu_tls(bench: Bench) -> None:
    """The same before an HTTPS upstream, by those who are set up for it."""
    _measure_costs(bench, (Kind.AT_ONCE_TLS, Kind.PACED_TLS))


def measure_first_chunk(bench: Bench) -> None:
    """Time to the first chunk through each contestant and without any."""
    with bench.contestants() as contestants:
        for number in range(bench.plan.rounds):
            for contestant in [bench.direct, *contestants]:
                _say(f"first-chunk: {contestant.name}, round {number + 1}")
                found = bench.results.first_chunk.setdefault(contestant.name, [])
                found.append(_first_chunk(bench, contestant))


def measure_open_streams(bench: Bench) -> None:
    """Thousands of streams through each contestant, which was started for this alone.

    A limit of open files that leaves no room for them lowers their number, and that is noted.
    """
    streams = min(bench.plan.streams, bench.ground.streams)
    if streams < bench.plan.streams:
        bench.results.missing.append(
            f"the limit of open files ({bench.ground.descriptors}) leaves room for "
            f"{streams:,} streams instead of {bench.plan.streams:,} (raise it: ulimit -Hn)"
        )
    for start in bench.starters:
        with start(bench.ground, bench.upstream) as contestant:
            _say(f"open-streams: {streams:,} through {contestant.name}")
            load.run(contestant.addresses[Kind.AT_ONCE], bench.ground, _WARM_UP)
            bench.results.open_streams[contestant.name] = _open_streams(bench, contestant, streams)


def measure_asks(bench: Bench) -> None:
    """One ask of the engine, on the server's core."""
    _say("asks")
    bench.results.asks = clients.run_client(
        module="asks",
        orders=asks.Orders(max(3, bench.plan.rounds), bench.plan.asks),
        report=list[Ask],
        ground=bench.ground,
        core=bench.ground.server_core,
        within=_SLACK,
    )


def measure_leaving(bench: Bench) -> None:
    """How soon the provider's connection is closed when a client leaves."""
    with bench.contestants() as contestants:
        for contestant in contestants:
            _say(f"leaving: {contestant.name}")
            bench.results.leaving[contestant.name] = _leaving(bench, contestant)


MEASUREMENTS: dict[str, Callable[[Bench], None]] = {
    "cpu": measure_cpu,
    "cpu-tls": measure_cpu_tls,
    "first-chunk": measure_first_chunk,
    "open-streams": measure_open_streams,
    "asks": measure_asks,
    "leaving": measure_leaving,
}


def _measure_costs(bench: Bench, kinds: Sequence[Kind]) -> None:
    with bench.contestants() as contestants:
        for kind in kinds:
            able = [contestant for contestant in contestants if kind in contestant.addresses]
            bench.results.costs[kind] = _costs(bench, kind, able)


def _costs(bench: Bench, kind: Kind, contestants: Sequence[Contestant]) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        load.probe(contestant.addresses[kind])
        load.run(contestant.addresses[kind], bench.ground, _WARM_UP)
    for number in range(bench.plan.rounds):
        for contestant in contestants:
            _say(f"{kind}: {contestant.name}, round {number + 1}")
            found[contestant.name].append(_cost(bench, kind, contestant))
    for contestant in contestants:
        load.probe(contestant.addresses[kind])
    return found


def _cost(bench: Bench, kind: Kind, contestant: Contestant) -> Cost:
    pid = contestant.program.pid
    before = cpu.seconds(pid)
    loaded = load.run(contestant.addresses[kind], bench.ground, bench.plan.seconds)
    used = cpu.seconds(pid) - before
    busy = used / (loaded.microseconds / 1e6)
    return Cost(used / loaded.requests * 1e6, loaded.per_second, busy)


def _first_chunk(bench: Bench, contestant: Contestant) -> FirstChunk:
    orders = first_chunk.Orders(
        contestant.addresses[Kind.PACED], first_chunk.STREAMS, bench.plan.answers
    )
    found = clients.run_client(
        module="first_chunk",
        orders=orders,
        report=list[float],
        ground=bench.ground,
        core=bench.ground.load_core,
        within=_SLACK + orders.answers,
    )
    return first_chunk.summary(found)


def _open_streams(bench: Bench, contestant: Contestant, streams: int) -> OpenStreams:
    orders = open_streams.Orders(
        contestant.addresses[Kind.HELD], streams, contestant.program.pid, bench.upstream.plain
    )
    return clients.run_client(
        module="open_streams",
        orders=orders,
        report=OpenStreams,
        ground=bench.ground,
        core=bench.ground.load_core,
        within=_OPEN_WITHIN,
    )


def _leaving(bench: Bench, contestant: Contestant) -> list[float]:
    orders = leaving.Orders(
        contestant.addresses[Kind.LEAVING], bench.upstream.leaving, bench.plan.leavings
    )
    return clients.run_client(
        module="leaving",
        orders=orders,
        report=list[float],
        ground=bench.ground,
        core=bench.ground.load_core,
        within=_SLACK,
    )


def _say(what: str) -> None:
    """Progress, beside the table that goes to standard output."""
    sys.stderr.write(f"  {what}\n")
    sys.stderr.flush()
