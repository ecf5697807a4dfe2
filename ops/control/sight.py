"""What one process has to show: its tree, its events, what a command did, as operators get them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from sluice.engine import ActorStatistics, TreeNode
from sluice.engine import Done as EngineDone
from sluice.engine import Event as EngineEvent

from .protocol import Happened, Node, Outcome


class Home(NamedTuple):
    """The process that nodes live in, and what their paths end in."""

    process: str
    pid: int | None
    suffix: str = ""
    """``@worker-1`` for those of a worker; nothing for those that operators name plainly."""


def node_of(tree: TreeNode, actors: Iterable[ActorStatistics], home: Home) -> Node:
    """``tree`` as operators get it, with what each of ``actors`` says of itself."""
    return _node(tree, {each.path: each for each in actors}, home)


def outcome_of(done: EngineDone, suffix: str = "", generation: int = 0) -> Outcome:
    """What a command did; ``generation``: of the process, if it did it to one."""
    return Outcome(
        action=done.action,
        path=f"{done.path}{suffix}",
        state=done.state,
        incarnation=done.incarnation,
        detail=done.detail,
        seconds=done.seconds,
        generation=generation,
    )


def happened(event: EngineEvent, home: Home) -> Happened:
    """``event``, at this moment."""
    detail = event.detail
    if event.delay:
        detail = f"{detail}; in {event.delay:.1f} s" if detail else f"in {event.delay:.1f} s"
    return Happened(
        kind=event.kind,
        at=now(),
        path=f"{event.path}{home.suffix}",
        process=home.process,
        incarnation=event.incarnation,
        generation=event.generation,
        detail=detail,
        report=None if event.report is None else _plain(event.report),
    )


def now() -> str:
    """This moment, as operators get it: RFC 3339, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def paths_of(node: Node) -> list[str]:
    """All paths in a tree, from top to bottom; the root's is empty."""
    found = [node.path]
    for child in node.children:
        found += paths_of(child)
    return found


def _node(node: TreeNode, known: dict[str, ActorStatistics], home: Home) -> Node:
    actor = known.get(node.path)
    return Node(
        path=f"{node.path}{home.suffix}" if node.path else "",
        id=node.id,
        kind=node.kind,
        process=home.process,
        pid=home.pid,
        state=node.state,
        incarnation=node.incarnation,
        restarts=node.restarts,
        strategy=node.strategy,
        waiting=node.waiting,
        handling=node.handling,
        children=tuple(_node(child, known, home) for child in node.children),
        **({} if actor is None else dict(_measured(actor))),
    )


def _measured(actor: ActorStatistics) -> Iterator[tuple[str, Any]]:
    """The fields of a `Node` that only actors have."""
    yield "capacity", actor.mailbox.capacity
    yield "uptime", actor.uptime
    yield "handled", actor.handled
    yield "crashes", actor.crashes
    if isinstance(actor.domain, msgspec.Struct):
        yield "statistics", _plain(actor.domain)


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(value, enc_hook=repr)
    return found
