"""The circuit breakers of a replica in its tree: their supervisor, and who is told of them.

They stand where the slots are granted: in the host, or in the process that is alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import structlog

from sluice.actors.breakers.breaker import State
from sluice.actors.breakers.breakers import OTHER, Breakers
from sluice.actors.breakers.circuits import Change, Circuits, OnBulletin, provider_of
from sluice.engine import ChildSpec, SupervisorSpec
from sluice.http.services import ProviderState
from sluice.ops.config import Config
from sluice.ops.control.protocol import Happened
from sluice.ops.control.sight import now
from sluice.ops.lines import breaker_line

BREAKERS: Final = "breakers"
"""The supervisor of the breakers' actors."""

OnHappened = Callable[[Happened], None]

_KINDS: Final[dict[State, str]] = {
    "open": "breaker_opened",
    "half_open": "breaker_half_open",
    "closed": "breaker_closed",
}


class ReplicaBreakers:
    """The breakers of this replica, and those who listen to what happens to them.

    Args:
        config: the settings.
        process: the name of the process that they live in, as operators have it.
        log: gets a line a transition.
        on_bulletin: has workers know what changed.
    """

    def __init__(
        self,
        config: Config,
        process: str,
        log: structlog.typing.FilteringBoundLogger,
        on_bulletin: OnBulletin,
    ) -> None:
        self._process = process
        self._log = log
        self._minded = tuple(config.providers)
        """Providers whose breakers have an actor of their own."""
        self.listeners: set[OnHappened] = set()
        self.circuits = Circuits(config.circuits, self._on_change, on_bulletin)

    def tree(self) -> SupervisorSpec:
        """One actor a provider; and one for those that a new configuration brings."""
        names = (*self._minded, OTHER)
        return SupervisorSpec(
            BREAKERS,
            [ChildSpec(name, functools.partial(Breakers, self.circuits, name)) for name in names],
        )

    def minder(self, name: str) -> str:
        """The path of the actor that minds the breaker ``name``."""
        provider = provider_of(name)
        return f"{BREAKERS}/{provider if provider in self._minded else OTHER}"

    def _on_change(self, change: Change) -> None:
        breaker_line(self._log, change)
        happened = Happened(
            kind=_KINDS[change.after],
            at=now(),
            path=self.minder(change.name),
            process=self._process,
            detail=detail_of(change),
        )
        for listener in tuple(self.listeners):
            listener(happened)


def detail_of(change: Change) -> str:
    """What an operator reads of a transition."""
    if change.after != "open":
        return f"{change.name}: {change.by}"
    held = "until it is closed or reset" if change.held else f"for {change.cooldown:g} s"
    return f"{change.name}, {held}: {change.by}"


def health_of(states: list[State]) -> ProviderState:
    """What ``/health`` says of a provider whose models are guarded by breakers in ``states``.

    ``down`` if none of them may be called, ``degraded`` if some may not, or one is being tried.
    """
    if states and all(state == "open" for state in states):
        return "down"
    return "ok" if all(state == "closed" for state in states) else "degraded"
