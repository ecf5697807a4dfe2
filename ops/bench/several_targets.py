"""What we must reach with several processes."""

from __future__ import annotations

from . import results
from .contestants import Kind
from .results import LinkAsk, Results
from .several import MANY, ONE, WORKERS
from .spread import STREAMS
from .verdict import Verdict, limited, ratio_limited

_COST, _BUSIEST = 1.25, 0.6
_LINK_ASK, _OPERATION = 25, 30  # microseconds
_SCRAPE = 5  # milliseconds


def verdicts(found: Results) -> list[Verdict]:
    """Every target, in the order of the table."""
    return [
        _cost(found, Kind.AT_ONCE, "20 chunks at once"),
        _cost(found, Kind.PACED, "20 chunks, 10 ms apart"),
        _spread(found),
        _link_ask(found.link_asks),
        _operation(found),
        _scrape(found),
    ]


def _cost(found: Results, kind: Kind, what: str) -> Verdict:
    target = f"{what}, {MANY}: at most {_COST:g} x {ONE}"
    return ratio_limited(target, results.family_ratio(found.workers, kind, MANY, ONE), _COST)


def _spread(found: Results) -> Verdict:
    target = f"{STREAMS} long streams, {MANY}: the busier has at most {_BUSIEST:.0%}"
    parts = {way: part.median for way, part in results.busiest(found).items()}
    if not parts:
        return Verdict(target, "", None)
    told = ", ".join(f"{way} {part:.0%}" for way, part in parts.items())
    return Verdict(target, told, max(parts.values()) <= _BUSIEST)


def _link_ask(rounds: list[LinkAsk]) -> Verdict:
    target = f"an ask to another process, 64 waiting: at most {_LINK_ASK} µs on each side"
    if not rounds:
        return Verdict(target, "", None)
    asking = results.spread([one.asking for one in rounds]).median
    answering = results.spread([one.answering for one in rounds]).median
    told = f"{asking:.1f} µs asking, {answering:.1f} µs answering"
    return Verdict(target, told, max(asking, answering) <= _LINK_ASK)


def _operation(found: Results) -> Verdict:
    costs = [one.client for one in found.store]
    return limited(
        f"an operation of the store, 64 waiting: at most {_OPERATION} µs",
        results.spread(costs).median if costs else None,
        _OPERATION,
        lambda value: f"{value:.1f} µs",
    )


def _scrape(found: Results) -> Verdict:
    costs = [one.worker for one in found.scrapes]
    return limited(
        f"a scrape, {WORKERS} workers: at most {_SCRAPE} ms of the worker that answers",
        results.spread(costs).median if costs else None,
        _SCRAPE,
        lambda value: f"{value:.2f} ms",
    )
