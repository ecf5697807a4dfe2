"""The measurements by name: each starts whom it measures, and lets them take turns.

A machine is never quiet. So every round measures all contestants one after the other, and the
figures that matter are ratios within a round. `several.py` has those of several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import asks, cpu, leaving, load, open_streams, resilience, several, translated
from .bench import WARM_UP, Bench, say
from .contestants import Contestant, Kind
from .results import Ask, Cost, OpenStreams

_OPEN_WITHIN = 300.0


def measure_cpu(bench: Bench) -> None:
    """Processor time a request before an HTTP upstream, chunks at once and paced."""
    _measure_costs(bench, (Kind.AT_ONCE, Kind.PACED))


def measure_cpu_tls(bench: Bench) -> None:
    """The same before an HTTPS upstream, by those who are set up for it."""
    _measure_costs(bench, (Kind.AT_ONCE_TLS, Kind.PACED_TLS))


def measure_first_chunk(bench: Bench) -> None:
    """Time to the first chunk through each contestant and without any."""
    with bench.contestants() as contestants:
        everybody = [bench.direct, *contestants]
        bench.results.first_chunk = bench.in_turns("first-chunk", everybody, bench.first_chunk)


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
            say(f"open-streams: {streams:,} through {contestant.name}")
            load.run(contestant.addresses[Kind.AT_ONCE], bench.ground, WARM_UP)
            bench.results.open_streams[contestant.name] = _open_streams(bench, contestant, streams)


def measure_asks(bench: Bench) -> None:
    """One ask of the engine, on the server's core."""
    say("asks")
    orders = asks.Orders(max(3, bench.plan.rounds), bench.plan.asks)
    bench.results.asks = bench.client("asks", orders, list[Ask], core=bench.ground.server_core)


def measure_leaving(bench: Bench) -> None:
    """How soon the provider's connection is closed when a client leaves."""
    with bench.contestants() as contestants:
        for contestant in contestants:
            say(f"leaving: {contestant.name}")
            orders = leaving.Orders(
                contestant.addresses[Kind.LEAVING], bench.upstream.leaving, bench.plan.leavings
            )
            found = bench.client("leaving", orders, list[float])
            bench.results.leaving[contestant.name] = found


MEASUREMENTS: dict[str, Callable[[Bench], None]] = {
    "cpu": measure_cpu,
    "cpu-tls": measure_cpu_tls,
    "workers": several.measure_workers,
    "resilience": resilience.measure_resilience,
    "translated": translated.measure_translated,
    "limit-keys": resilience.measure_limit_keys,
    "first-chunk": measure_first_chunk,
    "open-streams": measure_open_streams,
    "asks": measure_asks,
    "link-asks": several.measure_link_asks,
    "store": several.measure_store,
    "scrapes": several.measure_scrapes,
    "leaving": measure_leaving,
}


def _measure_costs(bench: Bench, kinds: Sequence[Kind]) -> None:
    with bench.contestants() as contestants:
        for kind in kinds:
            able = [contestant for contestant in contestants if kind in contestant.addresses]
            bench.results.costs[kind] = _costs(bench, kind, able)


def _costs(bench: Bench, kind: Kind, contestants: Sequence[Contestant]) -> dict[str, list[Cost]]:
    for contestant in contestants:
        bench.warm_up(contestant, kind)
    found = bench.in_turns(kind, contestants, lambda contestant: _cost(bench, kind, contestant))
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


def _open_streams(bench: Bench, contestant: Contestant, streams: int) -> OpenStreams:
    orders = open_streams.Orders(
        contestant.addresses[Kind.HELD], streams, contestant.program.pid, bench.upstream.plain
    )
    return bench.client("open_streams", orders, OpenStreams, _OPEN_WITHIN)
