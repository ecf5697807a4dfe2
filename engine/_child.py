"""Specifications: what a supervisor is told of its children. Nonsense is rejected here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from math import inf
from typing import Literal

from ._actor import Actor
from ._backoff import Backoff

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One actor.

    ``id``: its name below its supervisor, the last part of its path.
    ``factory``: makes each incarnation; called without arguments.
    ``restart``: ``permanent`` (always restarted), ``transient`` (only after a crash),
    ``temporary`` (never).
    ``start_timeout``: seconds in which `Actor.on_start` must be done.
    ``shutdown``: seconds from being asked to stop until it is cancelled; None: cancelled at once,
    without being asked; `math.inf`: never cancelled.
    ``significant``: its own ending can end its supervisor (see ``auto_shutdown`` there).
    """

    id: str
    factory: Callable[[], Actor]
    _: KW_ONLY
    restart: Restart = "permanent"
    start_timeout: float = 5.0
    shutdown: float | None = 5.0
    significant: bool = False

    def __post_init__(self) -> None:
        """Reject nonsense. Raises `ValueError` or `TypeError`."""
        _check_child(self.id, self.restart, self.shutdown, significant=self.significant)
        if not callable(self.factory):
            raise TypeError(f"{self.id}: the factory must be callable, not {self.factory!r}")
        if not self.start_timeout > 0:
            raise ValueError(f"{self.id}: start_timeout must be positive")


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervisor, and below it its children from left to right.

    ``strategy``: which children are restarted when one crashes: it alone (``one_for_one``), all
    (``one_for_all``), or it and those to the right of it (``rest_for_one``).
    ``intensity``, ``period``: more than ``intensity`` restarts in ``period`` seconds, and it
    gives up. ``backoff``: the delays before restarts, for each child on its own.
    ``auto_shutdown``: whether it ends when ``any_significant`` child, or ``all_significant``
    children, ended by themselves.
    ``restart``, ``shutdown``, ``significant``: as in `ChildSpec`, for this supervisor as a child;
    its default ``shutdown`` is as long as its children take.
    """

    id: str
    children: Sequence[ChildSpec | SupervisorSpec]
    _: KW_ONLY
    strategy: Strategy = "one_for_one"
    intensity: int = 3
    period: float = 5.0
    backoff: Backoff = field(default_factory=Backoff)
    auto_shutdown: AutoShutdown = "never"
    restart: Restart = "permanent"
    shutdown: float | None = inf
    significant: bool = False

    def __post_init__(self) -> None:
        """Reject nonsense. Raises `ValueError`."""
        _check_child(self.id, self.restart, self.shutdown, significant=self.significant)
        if self.strategy not in ("one_for_one", "one_for_all", "rest_for_one"):
            raise ValueError(f"{self.id}: no such strategy: {self.strategy!r}")
        if self.auto_shutdown not in ("never", "any_significant", "all_significant"):
            raise ValueError(f"{self.id}: no such auto_shutdown: {self.auto_shutdown!r}")
        if self.intensity < 0 or not self.period > 0:
            raise ValueError(f"{self.id}: intensity is at least 0, its period is positive")
        self._check_children()

    def _check_children(self) -> None:
        ids = [child.id for child in self.children]
        for twice in {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"{self.id}: two children have the id {twice!r}")
        for child in self.children:
            if child.significant and self.auto_shutdown == "never":
                raise ValueError(
                    f"{self.id}: {child.id!r} is significant, but auto_shutdown is 'never'"
                )


def _check_child(name: str, restart: str, shutdown: float | None, *, significant: bool) -> None:
    if not name or "/" in name:
        raise ValueError(f"an id is a part of a path, not {name!r}")
    if restart not in ("permanent", "transient", "temporary"):
        raise ValueError(f"{name}: no such restart: {restart!r}")
    if shutdown is not None and not shutdown > 0:
        raise ValueError(f"{name}: shutdown must be positive; None cancels at once")
    if significant and restart == "permanent":
        raise ValueError(f"{name}: a permanent child never ends by itself: not significant")
