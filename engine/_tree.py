"""The tree of a system, as data and as text."""

from __future__ import annotations

import msgspec

from ._cell import Cell
from ._lifecycle import State
from ._supervisor import Supervisor


class TreeNode(msgspec.Struct, frozen=True):
    """One supervisor or actor, with what is below it."""

    path: str
    id: str
    kind: str
    """``"supervisor"``, or the name of the actor's class."""
    state: State
    incarnation: int
    restarts: int
    """Of the actor; for a supervisor, of its children."""
    waiting: int = 0
    """Messages in the mailbox."""
    strategy: str = ""
    handling: str | None = None
    tasks: tuple[str, ...] = ()
    children: tuple[TreeNode, ...] = ()

    def __str__(self) -> str:
        return "\n".join(_lines(self, "", ""))


def grow(child: Cell | Supervisor) -> TreeNode:
    """The node of ``child`` and all below it, now."""
    if isinstance(child, Supervisor):
        return TreeNode(
            path=child.path,
            id=child.spec.id,
            kind="supervisor",
            state=child.state,
            incarnation=child.number,
            restarts=child.restarts,
            strategy=child.spec.strategy,
            children=tuple(grow(below) for below in child.children),
        )
    life = child.life
    return TreeNode(
        path=child.path,
        id=child.spec.id,
        kind=child.kind,
        state=child.state,
        incarnation=child.number,
        restarts=child.restarts,
        waiting=child.waiting(),
        handling=None if life is None else life.handling(),
        tasks=() if life is None else life.tasks(),
    )


def _lines(node: TreeNode, first: str, rest: str) -> list[str]:
    lines = [first + _describe(node)]
    below: list[TreeNode | str] = [*(f"task {name}" for name in node.tasks), *node.children]
    for index, item in enumerate(below):
        last = index == len(below) - 1
        branch, stem = ("└─ ", "   ") if last else ("├─ ", "│  ")
        if isinstance(item, str):
            lines.append(rest + branch + item)
        else:
            lines.extend(_lines(item, rest + branch, rest + stem))
    return lines


def _describe(node: TreeNode) -> str:
    if node.kind == "supervisor":
        return f"{node.id} ({node.strategy}) {node.state}"
    parts = [f"{node.id} [{node.kind}] {node.state} #{node.incarnation}"]
    if node.waiting:
        parts.append(f"{node.waiting} waiting")
    if node.handling is not None:
        parts.append(f"handling {node.handling}")
    return ", ".join(parts)
