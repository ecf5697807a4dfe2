"""What the table says about several processes."""

from __future__ import annotations

from . import link_asks, results, side_by_side, spread, store_operations
from .layout import Row, columns, figure, shown
from .results import Results, Spread
from .several import MANY, ONE
from .side_by_side import KINDS


def sections(found: Results) -> list[str]:
    """One text a measurement; empty for what was not measured."""
    return [
        _costs(found),
        _parts(found),
        _spread(found),
        _link_asks(found),
        _store(found),
        _scrapes(found),
        _scraped(found),
    ]


def _costs(found: Results) -> str:
    if not found.workers:
        return ""
    title = "Processor time of one streamed request in microseconds, all processes and the store"
    return f"{title}\n{side_by_side.costs(found.workers, ONE, MANY)}"


def _parts(found: Results) -> str:
    if not found.workers:
        return ""
    rows: list[Row] = [("20 chunks", "", "first process", "workers", "store")]
    for kind, label in KINDS.items():
        for name, rounds in found.workers.get(kind, {}).items():
            parts = (
                figure(rounds, lambda one: one.first),
                figure(rounds, lambda one: one.workers),
                figure(rounds, lambda one: one.store, 1),
            )
            rows.append((label, name, *parts))
    return "Whose part of it is what\n" + columns(rows)


def _spread(found: Results) -> str:
    busiest = results.busiest(found)
    if not busiest:
        return ""
    rows: list[Row] = [(f"opened {way}", shown(_per_cent(part))) for way, part in busiest.items()]
    title = f"{spread.STREAMS} long streams over two workers: part of the busier one in per cent"
    return f"{title}\n{columns(rows)}"


def _per_cent(part: Spread) -> Spread:
    return Spread(100 * part.median, 100 * part.low, 100 * part.high)


def _link_asks(found: Results) -> str:
    rounds = found.link_asks
    if not rounds:
        return ""
    many = f"{link_asks.WAITING} waiting"
    rows: list[Row] = [
        (f"{many}, processor time of who asks", figure(rounds, lambda one: one.asking, 1)),
        (f"{many}, of who answers", figure(rounds, lambda one: one.answering, 1)),
        ("alone, until the reply", figure(rounds, lambda one: one.alone, 1)),
    ]
    return "One ask to an actor of another process, in microseconds\n" + columns(rows)


def _store(found: Results) -> str:
    rounds = found.store
    if not rounds:
        return ""
    many = f"{store_operations.WAITING} waiting"
    rows: list[Row] = [
        (f"{many}, processor time of our client", figure(rounds, lambda one: one.client, 1)),
        (f"{many}, of Valkey", figure(rounds, lambda one: one.server, 1)),
        ("alone, until the answer", figure(rounds, lambda one: one.alone, 1)),
    ]
    return "One operation of the store, 2 kB, in microseconds\n" + columns(rows)


def _scrapes(found: Results) -> str:
    rounds = found.scrapes
    if not rounds:
        return ""
    rows: list[Row] = [
        ("the worker that answers", figure(rounds, lambda one: one.worker, 2)),
        ("the other worker", figure(rounds, lambda one: one.others, 2)),
        ("the host", figure(rounds, lambda one: one.host, 2)),
    ]
    return "One scrape of two workers, processor time in milliseconds\n" + columns(rows)


def _scraped(found: Results) -> str:
    if not found.scraped:
        return ""
    rows: list[Row] = [("", "P50", "P99")]
    for how, rounds in found.scraped.items():
        cells = (
            figure(rounds, lambda one: one.p50, 2),
            figure(rounds, lambda one: one.p99, 2),
        )
        rows.append((how, *cells))
    title = "Time to the first chunk through two workers, 32 paced streams, in milliseconds"
    return f"{title}\n{columns(rows)}"
