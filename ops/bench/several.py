"""The measurements of several processes: the service with two workers, beside the one process.

Both contestants have the same core to themselves, the whole family on it: host, workers, store.
So neither has more of the machine than the other, and the load and the upstream have what they
have in every other measurement. Only where it is seen who takes which stream do the workers have
all cores, as in operation: there is no other contestant to be fair to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from . import family, link_asks, load, ours, scrapes, spread, store_operations
from .bench import Bench, say
from .contestants import Contestant, Kind
from .results import FamilyCost, LinkAsk, Scrape, StoreOperation

WORKERS = 2
ONE, MANY = ours.label(0), ours.label(WORKERS)
"""The contestants' names."""

_OPENINGS = {"at once": spread.STREAMS, "one by one": 1}
_SCRAPED: dict[str, Callable[[int], AbstractContextManager[None]]] = {
    "nobody scrapes": lambda _: contextlib.nullcontext(),
    "5 scrapes a second": scrapes.scraping,
}
"""What goes on beside the streams, at a port."""
_SCRAPED_ROUNDS = 3


def measure_workers(bench: Bench) -> None:
    """What a request costs with two workers, and how long streams spread over them."""
    if ours.service not in bench.starters:
        return
    core = bench.ground.server_core
    with (
        ours.with_workers(bench.ground, bench.upstream, 0, core) as one,
        ours.with_workers(bench.ground, bench.upstream, WORKERS, core) as many,
    ):
        for kind in (Kind.AT_ONCE, Kind.PACED):
            bench.results.workers[kind] = _costs(bench, kind, [one, many])
    _measure_spread(bench)


def measure_scrapes(bench: Bench) -> None:
    """What a scrape costs with two workers, and time to the first chunk beside many of them."""
    if ours.service not in bench.starters:
        return
    core = bench.ground.server_core
    with ours.with_workers(bench.ground, bench.upstream, WORKERS, core) as contestant:
        for kind in (Kind.AT_ONCE, Kind.PACED):
            bench.warm_up(contestant, kind)
        say("scrapes")
        bench.results.scrapes = [_scrape(bench, contestant) for _ in range(bench.plan.rounds)]
        for number in range(min(bench.plan.rounds, _SCRAPED_ROUNDS)):
            _measure_scraped(bench, contestant, number)


def measure_link_asks(bench: Bench) -> None:
    """One ask between two processes, each on a core of its own."""
    say("link-asks")
    ground = bench.ground
    orders = link_asks.Orders(_rounds(bench), bench.plan.asks, ground.load_core)
    bench.results.link_asks = bench.client(
        "link_asks", orders, list[LinkAsk], core=ground.server_core
    )


def measure_store(bench: Bench) -> None:
    """One operation of the store, our client and Valkey on a core each."""
    say("store")
    ground = bench.ground
    orders = store_operations.Orders(
        _rounds(bench), bench.plan.operations, str(ground.folder / "store"), ground.load_core
    )
    bench.results.store = bench.client(
        "store_operations", orders, list[StoreOperation], core=ground.server_core
    )


def _costs(
    bench: Bench, kind: Kind, contestants: Sequence[Contestant]
) -> dict[str, list[FamilyCost]]:
    for contestant in contestants:
        bench.warm_up(contestant, kind)
    found = bench.in_turns(
        f"workers, {kind}", contestants, lambda contestant: _cost(bench, kind, contestant)
    )
    for contestant in contestants:
        load.probe(contestant.addresses[kind])
    return found


def _cost(bench: Bench, kind: Kind, contestant: Contestant) -> FamilyCost:
    watch = family.Watch(contestant.program.pid)
    loaded = load.run(contestant.addresses[kind], bench.ground, bench.plan.seconds)
    return family.cost(watch.used(), loaded)


def _measure_spread(bench: Bench) -> None:
    ground = bench.ground
    cores = (ground.server_core, ground.load_core)
    with ours.with_workers(ground, bench.upstream, WORKERS, *cores) as contestant:
        bench.warm_up(contestant, Kind.AT_ONCE)
        for way, opening in _OPENINGS.items():
            say(f"workers: {spread.STREAMS} long streams, opened {way}")
            bench.results.spread[way] = [
                _spread(bench, contestant, opening) for _ in range(bench.plan.crowds)
            ]


def _spread(bench: Bench, contestant: Contestant, opening: int) -> list[int]:
    orders = spread.Orders(
        contestant.addresses[Kind.HELD],
        spread.STREAMS,
        opening,
        contestant.program.pid,
        bench.upstream.plain,
    )
    return bench.client("spread", orders, list[int])


def _scrape(bench: Bench, contestant: Contestant) -> Scrape:
    watch = family.Watch(contestant.program.pid)
    scrapes.scrape(contestant.addresses[Kind.PACED].port, bench.plan.scrapes)
    return family.scrape(watch.used(), bench.plan.scrapes)


def _measure_scraped(bench: Bench, contestant: Contestant, number: int) -> None:
    port = contestant.addresses[Kind.PACED].port
    for how, around in _SCRAPED.items():
        say(f"scrapes: first chunk, {how}, round {number + 1}")
        with around(port):
            found = bench.first_chunk(contestant)
        bench.results.scraped.setdefault(how, []).append(found)


def _rounds(bench: Bench) -> int:
    return max(3, bench.plan.rounds)
