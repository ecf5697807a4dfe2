"""The frame of ``sluice top``: what is looked at, as lines that fit a terminal. All pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .protocol import Figures, Node, ServiceStatus
from .views import span

KEYS = "q quit   space hold   up/down select   r restart"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What one frame shows."""

    status: ServiceStatus | None = None
    tree: Node | None = None
    figures: Figures | None = None
    selected: str = ""
    """An actor's path; empty: none."""
    held: bool = False
    message: str = ""
    """The last line: a question, an outcome, or why there is nothing new."""


class Row(msgspec.Struct, frozen=True):
    """One line and how it is to be seen."""

    text: str
    style: str = ""
    """Of rich: ``bold``, ``reverse``, ``red`` ..."""


def frame(view: View, width: int, height: int) -> list[Row]:
    """At most ``height`` rows of at most ``width`` columns; the last one is the message."""
    rows = [*_head(view), *_providers(view)]
    room = height - len(rows) - 2
    rows += _actors(view, max(0, room))
    rows = rows[: max(0, height - 1)]
    rows.append(Row(view.message or KEYS, "reverse" if view.message else "dim"))
    return [msgspec.structs.replace(row, text=row.text[:width]) for row in rows]


def actors_of(node: Node) -> list[Node]:
    """The actors below ``node``, and the supervisors but the root, top to bottom."""
    found = [node] if node.path else []
    for child in node.children:
        found += actors_of(child)
    return found


def _head(view: View) -> Iterator[Row]:
    status = view.status
    if status is None:
        yield Row("sluice top: waiting for the service", "bold")
        return
    held = "  (held)" if view.held else ""
    title = f"sluice {status.version}  {status.state}  up {span(status.uptime)}{held}"
    yield Row(title, "bold" if status.state == "serving" else "bold yellow")
    limit = status.connection_limit
    yield Row(
        f"streams {status.streams} live   connections {status.connections} of {limit}"
        f" {_bar(status.connections, limit)}"
    )
    figures = view.figures or Figures(interval=0.0)
    yield Row(
        f"requests {figures.requests:.1f}/s   errors {figures.errors:.1f}/s"
        f"   chunks {figures.chunks:.0f}/s   first chunk p50 {_ms(figures.first_chunk_p50)}"
        f" p99 {_ms(figures.first_chunk_p99)}"
    )
    for each in status.processes:
        yield Row(
            f"process {each.name}  pid {each.pid}  {each.state}  {each.streams} streams"
            f"  {each.memory / 2**20:.0f} MiB  {each.cpu:.0f} s CPU"
        )


def _providers(view: View) -> Iterator[Row]:
    providers = () if view.figures is None else view.figures.providers
    if providers:
        yield Row("")
        yield Row(
            f"{'PROVIDER':<24} {'CALLS/S':>8} {'FAILED/S':>9} {'ACTIVE':>7} {'IDLE':>6}", "bold"
        )
    for each in providers:
        yield Row(
            f"{each.name[:24]:<24} {each.requests:>8.1f} {each.errors:>9.1f}"
            f" {each.active:>7} {each.idle:>6}",
            "red" if each.errors else "",
        )


def _actors(view: View, room: int) -> Iterator[Row]:
    """As many as fit, the selected one among them."""
    if view.tree is None or room < 3:
        return
    yield Row("")
    yield Row(f"  {'ACTOR':<28} {'STATE':<9} {'MAIL':>6} {'RESTARTS':>8} {'UP':>8}", "bold")
    nodes = actors_of(view.tree)
    paths = [node.path for node in nodes]
    at = paths.index(view.selected) if view.selected in paths else 0
    first = max(0, min(at - (room - 2) // 2, len(nodes) - (room - 2)))
    for node in nodes[first : first + room - 2]:
        yield _actor(node, selected=node.path == view.selected)


def _actor(node: Node, *, selected: bool) -> Row:
    mark = ">" if selected else " "
    up = span(node.uptime) if node.kind != "supervisor" else ""
    mail = str(node.waiting) if node.kind != "supervisor" else ""
    text = f"{mark} {node.path[:28]:<28} {node.state:<9} {mail:>6} {node.restarts:>8} {up:>8}"
    style = "" if node.state == "running" else "yellow" if node.state == "paused" else "red"
    return Row(text, "reverse" if selected else style)


def _bar(used: int, limit: int, width: int = 20) -> str:
    full = round(width * min(1.0, used / limit)) if limit else 0
    return f"[{'#' * full}{'.' * (width - full)}]"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
