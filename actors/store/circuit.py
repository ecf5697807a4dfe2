"""Whether a store is used or passed by, and when it is tried again. Pure: time is an argument.

::

    starting ──recovered──> usable ──failed──> passed_by ──recovered──> usable
        │                   │   ^                  ^
        │            filled v   │ recovered        │
        │                   full ─────failed───────┤
        └──────── failed for STARTING seconds ─────┘
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from sluice.engine import Backoff

State = Literal["starting", "usable", "full", "passed_by"]
"""``full``: it takes no writes, and is used for the rest."""

PROBES: Final = Backoff(first=0.0, base=0.05, factor=2.0, limit=2.0, jitter=0.3, healthy=10.0)
"""Seconds between probes: a store that restarts is found soon, one that is gone costs little."""

STARTING: Final = 1.0
"""Seconds in which a store that has not answered yet is just starting, perhaps by our own hand."""


class Circuit:
    """One store's, or one node's."""

    def __init__(self, chance: Random, backoff: Backoff = PROBES) -> None:
        self.state: State = "starting"
        self.reason = "not connected yet"
        """Why it is not usable; of the last time it was not."""
        self._chance = chance
        self._backoff = backoff
        self._row = 0
        self._since = 0.0
        self._sought_since: float | None = None

    def __repr__(self) -> str:
        return f"<Circuit {self.state}>"

    def recovered(self, now: float) -> bool:
        """A probe succeeded. Returns whether that is news."""
        changed = self.state != "usable"
        if self.state != "full":
            self._since = now
        self.state = "usable"
        return changed

    def filled(self, reason: str) -> bool:
        """It answered that it takes no writes. Returns whether that is news."""
        changed = self.state == "usable"
        if changed:
            self.state = "full"
            self.reason = reason
        return changed

    def failed(self, now: float, reason: str) -> bool:
        """An operation or a probe failed. Returns whether that is news."""
        if self._sought_since is None:
            self._sought_since = now
        used = self.state in {"usable", "full"}
        changed = used or (self.state == "starting" and now - self._sought_since >= STARTING)
        if used and now - self._since >= self._backoff.healthy:
            self._row = 0
        if changed:
            self.state = "passed_by"
        self.reason = reason
        self._row += 1
        return changed

    def delay(self) -> float:
        """Seconds to the next probe, after a failure.

        A store that fails soon after each probe is probed as rarely as one that is gone.
        """
        backoff = self._backoff
        if self._row <= 1:
            return backoff.first
        delay = min(backoff.base * backoff.factor ** min(self._row - 2, 64), backoff.limit)
        return delay * (1 - backoff.jitter * self._chance.random())
