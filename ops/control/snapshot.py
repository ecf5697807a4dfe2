"""What `sluice top` shows of one moment, and what moved since the one before. All pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2
from typing import Final

import msgspec

from .figures import rate
from .protocol import Figures, Node, ServiceStatus

_FEW: Final = 3
"""Bits of a number of messages that waits in any mailbox now and then."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The service at one moment."""

    status: ServiceStatus
    tree: Node
    figures: Figures
    cpu: dict[str, float] = {}
    """By process, cores in use since the moment before: 0.5 is half of one."""
    handled: dict[str, float] = {}
    """By actor's path, messages a second, likewise."""


def since(before: Snapshot | None, status: ServiceStatus, tree: Node, figures: Figures) -> Snapshot:
    """The snapshot after ``before``; without one nothing has moved yet."""
    if before is None:
        return Snapshot(status=status, tree=tree, figures=figures)
    seconds = status.uptime - before.status.uptime
    return Snapshot(
        status=status,
        tree=tree,
        figures=figures,
        cpu=_cpu(before.status, status, seconds),
        handled=_handled(before.tree, tree, seconds),
    )


def actors_of(node: Node) -> list[Node]:
    """The actors below ``node``, and the supervisors but the root, top to bottom."""
    found = [node] if node.path else []
    for child in node.children:
        found += actors_of(child)
    return found


def by_interest(snapshot: Snapshot) -> list[Node]:
    """The actors of all processes: what is not well first, then what is busy.

    Between those that are about as busy the tree's order holds, so that they do not dance.
    """
    actors = [node for node in actors_of(snapshot.tree) if node.kind != "supervisor"]
    return sorted(actors, key=lambda node: _interest(node, snapshot.handled), reverse=True)


def _interest(node: Node, handled: dict[str, float]) -> tuple[bool, int, int, int]:
    return (
        node.state != "running" or bool(node.note),
        node.crashes,
        node.waiting.bit_length() // _FEW,
        round(log2(1 + handled.get(node.path, 0.0))),
    )


def _cpu(before: ServiceStatus, after: ServiceStatus, seconds: float) -> dict[str, float]:
    """A process that has another id is another process, whose past nobody has seen."""
    known = {(each.name, each.pid): each.cpu for each in before.processes}
    return {
        each.name: rate(known[each.name, each.pid], each.cpu, seconds)
        for each in after.processes
        if (each.name, each.pid) in known
    }


def _handled(before: Node, after: Node, seconds: float) -> dict[str, float]:
    known = dict(_counts(before))
    return {
        path: rate(known[path], handled, seconds)
        for path, handled in _counts(after)
        if path in known
    }


def _counts(root: Node) -> Iterator[tuple[str, int]]:
    for node in actors_of(root):
        yield node.path, node.handled
