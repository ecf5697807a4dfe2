"""The table that is printed: what each contestant's figures are, the ratios, the targets."""

from __future__ import annotations

from collections.abc import Sequence

from . import envoy, nginx, ours, resilience_table, results, several_table
from .contestants import Kind
from .layout import NONE, Row, columns, shown
from .results import DIRECT, Cost, Results
from .verdict import Verdict

KINDS = {
    Kind.AT_ONCE: "at once",
    Kind.PACED: "10 ms apart",
    Kind.AT_ONCE_TLS: "at once, HTTPS upstream",
    Kind.PACED_TLS: "10 ms apart, HTTPS upstream",
}

_NAMES = (nginx.NAME, envoy.NAME, ours.NAME)
_BUSY = 0.9
_MARKS = {True: "reached", False: "MISSED", None: "not measured"}


def render(found: Results, verdicts: Sequence[Verdict]) -> str:
    """All that was measured, as text for a terminal."""
    sections = [
        _machine(found),
        _costs(found),
        _rates(found),
        _first_chunk(found),
        _open_streams(found),
        _leaving(found),
        _asks(found),
        *several_table.sections(found),
        *resilience_table.sections(found),
        _targets(verdicts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _machine(found: Results) -> str:
    machine = found.machine
    lines = [
        f"{machine.cores} cores, Python {machine.python}, Linux {machine.kernel}",
        "Medians of the rounds, with the lowest and the highest",
    ]
    if not machine.optimized:
        lines.append("This Python was built without --enable-optimizations: slower than most.")
    if machine.one_core:
        lines.append("There is one core only: load and proxies share it, so ratios are no good.")
    left_out = [f"Left out: {what}." for what in found.missing]
    failed = [f"FAILED: {what}" for what in found.failed]
    return "\n".join([*lines, *left_out, *failed])


def _costs(found: Results) -> str:
    if not found.costs:
        return ""
    rows: list[Row] = [("20 chunks", *_NAMES, "/ nginx", "/ Envoy")]
    for kind, label in KINDS.items():
        rounds = found.costs.get(kind)
        if rounds:
            cells = [_cost(rounds.get(name, [])) for name in _NAMES]
            rows.append((label, *cells, _ratio(found, kind, nginx.NAME), _envoy(found, kind)))
    return "Processor time of one streamed request, in microseconds\n" + columns(rows)


def _cost(rounds: Sequence[Cost]) -> str:
    return shown(results.spread([cost.microseconds for cost in rounds])) if rounds else NONE


def _ratio(found: Results, kind: Kind, other: str) -> str:
    ratio = results.cost_ratio(found, kind, ours.NAME, other)
    return NONE if ratio is None else shown(ratio, 2)


def _envoy(found: Results, kind: Kind) -> str:
    return _ratio(found, kind, envoy.NAME)


def _rates(found: Results) -> str:
    if not found.costs:
        return ""
    rows: list[Row] = [("20 chunks", *_NAMES)]
    for kind in (Kind.AT_ONCE, Kind.AT_ONCE_TLS):
        rounds = found.costs.get(kind)
        if rounds:
            rows.append((KINDS[kind], *(_rate(rounds.get(name, [])) for name in _NAMES)))
    note = "  * the worker was not busy all the time: the load or the upstream was the limit"
    return f"Requests a second of one worker\n{columns(rows)}\n{note}"


def _rate(rounds: Sequence[Cost]) -> str:
    if not rounds:
        return NONE
    limited = results.spread([cost.busy for cost in rounds]).median < _BUSY
    return shown(results.spread([cost.per_second for cost in rounds])) + ("*" if limited else "")


def _first_chunk(found: Results) -> str:
    direct = found.first_chunk.get(DIRECT)
    if not direct:
        return ""
    p50 = results.spread([one.p50 for one in direct])
    p99 = results.spread([one.p99 for one in direct])
    rows: list[Row] = [("", "P50", "P99"), ("upstream itself", shown(p50, 2), shown(p99, 2))]
    for name in _NAMES:
        added = results.added(found, name)
        if added is not None:
            rows.append((f"added by {name}", *(shown(spread, 2) for spread in added)))
    return "Time to the first chunk, 32 paced streams, in milliseconds\n" + columns(rows)


def _open_streams(found: Results) -> str:
    if not found.open_streams:
        return ""
    rows: list[Row] = [("", "streams", "lost", "kB each", "all open after", "µs each")]
    rows += [
        (
            name,
            f"{of.asked:,}",
            f"{of.lost:,}",
            f"{of.kilobytes:.1f}",
            f"{of.seconds:.1f} s",
            f"{of.microseconds:,.0f}",
        )
        for name, of in found.open_streams.items()
    ]
    return (
        "Open streams in one worker: growth of resident memory; time and processor time to open\n"
        + columns(rows)
    )


def _leaving(found: Results) -> str:
    if not found.leaving:
        return ""
    rows = [(name, shown(results.spread(times), 2)) for name, times in found.leaving.items()]
    return "A client leaves; milliseconds until its provider's connection is closed\n" + columns(
        rows
    )


def _asks(found: Results) -> str:
    ratio = results.ask_ratio(found)
    if ratio is None:
        return ""
    rows: list[Row] = [
        ("checkpoint", shown(results.spread([ask.checkpoint for ask in found.asks]), 1)),
        ("ask", shown(results.spread([ask.ask for ask in found.asks]), 1)),
        ("ask / checkpoint", shown(ratio, 1)),
    ]
    return "One ask to an actor, with its deadline, in microseconds\n" + columns(rows)


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = [(_MARKS[one.reached], one.target, one.found) for one in verdicts]
    widths = [max(len(row[place]) for row in rows) for place in range(2)]
    lines = [
        f"  {mark.ljust(widths[0])}  {target.ljust(widths[1])}  {told}".rstrip()
        for mark, target, told in rows
    ]
    return "Targets\n" + "\n".join(lines)
