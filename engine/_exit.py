"""How a child ended, and whom it concerns."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

from ._crash import CrashReport


class Exit(NamedTuple):
    """How a child ended: it ``crashed``, was ``stopped``, or ``left`` by itself."""

    kind: Literal["crashed", "stopped", "left"]
    detail: str = ""
    error: Exception | None = None
    report: CrashReport | None = None


class Parent(Protocol):
    """Who decides what follows when a child ended without having been asked to."""

    def child_exited(self, child: Any, outcome: Exit) -> None:
        """``child`` was ready, and has ended."""
