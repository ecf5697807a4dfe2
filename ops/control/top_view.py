"""The frame of ``sluice top``: a snapshot as lines that fit a terminal. All pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from .protocol import Figures, Happened, Node, ProcessStatus, ProviderFigures, ServiceStatus
from .snapshot import Snapshot, actors_of, by_interest
from .views import span

KEYS: Final = "q quit  space hold  up/down select  r restart  p pause/resume  o order"
_ROOMY: Final = 20
"""Lines from which on there is room between the parts, and for events."""
_EVENTS: Final = 3
"""Events that are shown where there is room; more, if there is much."""
_WELL: Final = frozenset({"running", "serving"})
_CALM: Final = frozenset({"paused", "starting", "draining"})
"""Not as it should be for ever, but nothing is wrong."""
_GRAVE: Final = frozenset({
    "crashed",
    "gave_up",
    "start_failed",
    "dropped",
    "process_killed",
    "process_signalled",
    "breaker_opened",
})  # fmt: skip
"""Events that operators should not overlook."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What one frame shows."""

    now: Snapshot | None = None
    events: tuple[Happened, ...] = ()
    """The last ones, oldest first."""
    selected: str = ""
    """An actor's path; empty: none."""
    as_tree: bool = False
    """Whether the actors are in the tree's order; else the most interesting come first."""
    held: bool = False
    message: str = ""
    """A question, an outcome, or why there is nothing new."""


class Row(msgspec.Struct, frozen=True):
    """One line and how it is to be seen."""

    text: str
    style: str = ""
    """Of rich: ``bold``, ``reverse``, ``red`` ..."""


def frame(view: View, width: int, height: int) -> list[Row]:
    """At most ``height`` rows of at most ``width`` columns; the last ones: message and keys."""
    foot = [Row(view.message, "reverse")] if view.message else []
    foot.append(Row(KEYS, "dim"))
    room = max(0, height - len(foot))
    rows = [*_body(view, room), *foot][:height] if room else foot[-height:]
    return [msgspec.structs.replace(row, text=_cut(row.text, width)) for row in rows]


def rows_of(view: View) -> list[Row]:
    """All there is to show, however long."""
    if view.now is None:
        return []
    processes, providers = list(_processes(view.now)), list(_providers(view.now.figures))
    actors = list(_actors(view, order(view)))
    return [*_head(view), *_parted([processes, providers, actors])]


def order(view: View) -> list[Node]:
    """The actors as they are listed; those that `View.selected` moves along."""
    if view.now is None:
        return []
    return actors_of(view.now.tree) if view.as_tree else by_interest(view.now)


def _body(view: View, room: int) -> list[Row]:
    """What is above the message and the keys: as many rows as there is room for."""
    now = view.now
    if now is None:
        return [Row("sluice top: waiting for the service", "bold"), *_blank(room - 1)]
    roomy = room >= _ROOMY
    third = max(3, room // 3)
    head = list(_head(view))
    processes = _some(list(_processes(now)), third)
    providers = _some(list(_providers(now.figures)), third)
    events = list(_events(view, max(_EVENTS, room // 8))) if roomy else []
    parts = [processes, providers, [], events]
    taken = len(head) + sum(len(part) + (roomy and bool(part)) for part in parts)
    parts[2] = _window(view, room - taken - roomy)
    rows = head + (_parted(parts) if roomy else [row for part in parts for row in part])
    return [*rows[:room], *_blank(room - len(rows))]


def _blank(count: int) -> list[Row]:
    return [Row("")] * max(0, count)


def _parted(parts: Sequence[list[Row]]) -> list[Row]:
    """Parts with an empty line before each."""
    return [row for part in parts if part for row in (Row(""), *part)]


def _some(rows: list[Row], room: int) -> list[Row]:
    """As many as there is room for; the last one then says how many there are besides."""
    if len(rows) <= room:
        return rows
    return [*rows[: room - 1], Row(f"... and {len(rows) - room + 1} more", "dim")]


def _head(view: View) -> Iterator[Row]:
    if view.now is None:
        return
    status, figures = view.now.status, view.now.figures
    held = "  HELD" if view.held else ""
    title = f"sluice {status.version}  {status.state}{held}  up {span(status.uptime)}"
    failed = f"crashes {status.crashes}  restarts {status.restarts}"
    style = "bold" if status.state == "serving" else "bold yellow"
    yield Row("  ".join([title, failed, *status.addresses]), style)
    yield Row(_load(status))
    yield Row(
        f"requests {figures.requests:.1f}/s   errors {figures.errors:.1f}/s"
        f"   chunks {figures.chunks:.0f}/s   first chunk p50 {_ms(figures.first_chunk_p50)}"
        f" p99 {_ms(figures.first_chunk_p99)}",
        "red" if figures.errors else "",
    )


def _load(status: ServiceStatus) -> str:
    limit = status.connection_limit
    return (
        f"streams {status.streams}   connections {status.connections} of {limit}"
        f" {_bar(status.connections, limit)}"
    )


def _processes(now: Snapshot) -> Iterator[Row]:
    yield Row(
        f"{'PROCESS':<14} {'PID':>8}  {'STATE':<14} {'STREAMS':>7} {'CPU':>6} {'MEMORY':>9}"
        f" {'UP':>9}",
        "bold",
    )
    for each in now.status.processes:
        yield Row(_process(each, now.cpu.get(each.name)), _style(each.state))


def _process(process: ProcessStatus, cpu: float | None) -> str:
    streams = "-" if process.name == "host" else str(process.streams)
    share = "-" if cpu is None else f"{cpu * 100:.0f}%"
    up = span(process.uptime) if process.uptime else "-"
    return (
        f"{process.name[:14]:<14} {process.pid or '-':>8}  {process.state:<14} {streams:>7}"
        f" {share:>6} {process.memory / 2**20:>5.0f} MiB {up:>9}"
    )


def _providers(figures: Figures) -> Iterator[Row]:
    if figures.providers:
        yield Row(
            f"{'PROVIDER':<24} {'CALLS/S':>9} {'FAILED/S':>9} {'ACTIVE':>8} {'IDLE':>8}  BREAKER",
            "bold",
        )
    for each in figures.providers:
        failing = each.errors or each.breaker != "closed"
        yield Row(_provider(each), "red" if failing else "")


def _provider(provider: ProviderFigures) -> str:
    return (
        f"{provider.name[:24]:<24} {provider.requests:>9.1f} {provider.errors:>9.1f}"
        f" {provider.active:>8} {provider.idle:>8}  {provider.breaker.replace('_', ' ')}"
    )


def _window(view: View, room: int) -> list[Row]:
    """As many actors as there is room for, the selected one among them."""
    if room < 2:
        return []
    nodes = order(view)
    lines = room - 1
    paths = [node.path for node in nodes]
    at = paths.index(view.selected) if view.selected in paths else 0
    first = max(0, min(at - lines // 2, len(nodes) - lines))
    return list(_actors(view, nodes[first : first + lines]))


def _actors(view: View, nodes: Sequence[Node]) -> Iterator[Row]:
    yield Row(
        f"  {'ACTOR':<29} {'STATE':<8} {'MAIL':>5} {'MSGS/S':>7} {'RESTARTS':>8} {'UP':>8}",
        "bold",
    )
    for node in nodes:
        yield _actor(view, node)


def _actor(view: View, node: Node) -> Row:
    selected = node.path == view.selected
    start = f"{'>' if selected else ' '} {node.path[:29]:<29} {node.state[:8]:<8}"
    if node.kind == "supervisor":
        text = f"{start} {'':>5} {'':>7} {node.restarts:>8}"
    else:
        handled = {} if view.now is None else view.now.handled
        speed = f"{handled[node.path]:.1f}" if node.path in handled else "-"
        up = span(node.uptime)
        text = f"{start} {node.waiting:>5} {speed:>7} {node.restarts:>8} {up:>8}"
    if node.note:
        text = f"{start} {node.note}"
    return Row(text, "reverse" if selected else "red" if node.note else _style(node.state))


def _events(view: View, count: int) -> Iterator[Row]:
    if view.events:
        yield Row("LAST EVENTS", "bold")
    for event in view.events[-count:]:
        time = event.at[11:19]
        where = event.path or event.process
        detail = f"  {event.detail}" if event.detail else ""
        style = "red" if event.kind in _GRAVE else "dim"
        yield Row(f"{time} {event.kind:<15} {where}{detail}", style)


def _style(state: str) -> str:
    return "" if state in _WELL else "yellow" if state in _CALM else "red"


def _bar(used: int, limit: int, width: int = 20) -> str:
    full = round(width * min(1.0, used / limit)) if limit else 0
    return f"[{'#' * full}{'.' * (width - full)}]"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _cut(text: str, width: int) -> str:
    """``text`` in one line of ``width`` columns; what is left out is seen to be."""
    line = " ".join(text.splitlines()) if "\n" in text else text
    return line if len(line) <= width else f"{line[: max(0, width - 1)]}…"[:width]
