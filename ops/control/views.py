"""Answers as text, for people. All pure; every function returns lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sluice.ops.words import counted

from .protocol import (
    BreakerStatus,
    Happened,
    LimitKind,
    Node,
    Outcome,
    ProcessStatus,
    ServiceStatus,
)


def status_lines(status: ServiceStatus) -> list[str]:
    """How the service is, in a few lines."""
    lines = [
        f"sluice {status.version}: {status.state}, up {span(status.uptime)}{_stopped(status)}",
        f"  serves at    {', '.join(status.addresses) or 'no address'}",
        f"  streams      {status.streams} live",
        f"  connections  {status.connections} of {status.connection_limit}",
        f"  actors       {status.actors}, {_troubles(status.crashes, status.restarts)}",
        f"  limits       {limits_line(status.limits)}",
        f"  log level    {status.log_level}",
    ]
    lines += [f"  process      {_process(each)}" for each in status.processes]
    return lines + [f"  breaker      {breaker_line(each)}" for each in status.breakers]


def _stopped(status: ServiceStatus) -> str:
    return "; new streams are answered 503" if status.state == "stopped" else ""


def _troubles(crashes: int, restarts: int) -> str:
    return f"{counted(crashes, 'crash', 'crashes')}, {counted(restarts, 'restart')}"


def breaker_line(breaker: BreakerStatus) -> str:
    """One circuit breaker."""
    said = f"{breaker.name}: {breaker.state.replace('_', ' ')}"
    if breaker.held:
        return f"{said}, until it is closed or reset"
    if breaker.seconds is not None:
        return f"{said}, a probe in {span(breaker.seconds)}"
    failures = counted(breaker.failing, "failure")
    return f"{said}, {failures} in a row" if breaker.failing else said


def limits_line(limits: Mapping[LimitKind, str]) -> str:
    """What callers may ask."""
    return ", ".join(f"{kind} {rate}" for kind, rate in limits.items())


def _process(process: ProcessStatus) -> str:
    pid = "no process" if process.pid is None else f"pid {process.pid}"
    streams = "" if process.name == "host" else f" {counted(process.streams, 'stream')},"
    return (
        f"{process.name}, {pid}, {process.state},{streams}"
        f" {process.memory / 2**20:.0f} MiB, {process.cpu:.1f} s of CPU"
    )


def tree_lines(root: Node) -> list[str]:
    """The tree as a picture, in columns."""
    rows = list(_rows(root, "", "", None))
    wide = max(len(row[0]) for row in rows)
    head = f"{'':{wide}}  {'STATE':<9} {'LIFE':>4} {'RESTARTS':>8} {'MAIL':>6} {'UP':>8}  HANDLED"
    return [head.rstrip(), *(_line(name, node, wide) for name, node in rows)]


def _rows(node: Node, first: str, rest: str, above: Node | None) -> Iterator[tuple[str, Node]]:
    """The name of each node as the picture has it; that of a new process tells its id."""
    is_new = node.pid is not None and (above is None or above.pid != node.pid)
    yield first + node.id + (_pid(node) if is_new else ""), node
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        branch, stem = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _rows(child, rest + branch, rest + stem, node)


def _pid(node: Node) -> str:
    generation = f", generation {node.generation}" if node.generation else ""
    return f" (pid {node.pid}{generation})"


def _line(name: str, node: Node, wide: int) -> str:
    start = f"{name:<{wide}}  {node.state:<9} {node.incarnation:>4} {node.restarts:>8}"
    note = f"  {node.note}" if node.note else ""
    if node.kind == "supervisor":
        return f"{start}                  {node.strategy}{note}"
    return f"{start} {node.waiting:>6} {span(node.uptime):>8}  {node.handled}{note}"


def outcome_line(done: Outcome) -> str:
    """What a command did."""
    detail = f"; {done.detail}" if done.detail else ""
    which = f"incarnation {done.incarnation}"
    if done.generation:
        which = f"generation {done.generation}"
    return f"{done.path}: {done.action} in {done.seconds:.3f} s, now {done.state}, {which}{detail}"


def event_lines(event: Happened) -> list[str]:
    """One line an event; of a crash, its reason too."""
    detail = f": {event.detail}" if event.detail else ""
    reason = "" if event.report is None else f" ({event.report.get('reason', '')})"
    where = f"root{event.path}" if event.path[:1] in {"", "@"} else event.path
    number = event.generation or event.incarnation
    which = f" #{number}" if number else ""
    return [f"{event.at}  {event.kind:<12} {where}{which}{detail}{reason}"]


def span(seconds: float) -> str:
    """A time span in its two largest units: ``3d 4h``, ``5m 6s``, ``7.8s``."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {whole % 60}s"
