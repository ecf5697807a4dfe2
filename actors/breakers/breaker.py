"""A circuit breaker: whether a provider that failed may be called (``seed 4.1``). Pure.

Rule 1: every transition is in this file.

========== ==================================================== ==========
in         what happens                                         then
========== ==================================================== ==========
CLOSED     the last ``failures`` outcomes failed, in ``window`` OPEN
OPEN       ``cooldown`` seconds have passed                     HALF_OPEN
HALF_OPEN  the probe has its first content                      CLOSED
HALF_OPEN  the probe fails                                      OPEN
any        an operator opens it                                 OPEN, held
any        an operator closes or resets it                      CLOSED
any        breakers are switched off                            CLOSED
========== ==================================================== ==========

* CLOSED, every call is let through, and its outcome counts. What failed before the first content
  and what broke after it are two runs: the first content of any call ends the first, a whole
  answer ends both. Else a provider that cuts each of its answers would never be given up.
* HALF_OPEN, one call at a time is let through, the *probe*; what others report counts for
  nothing. A probe whose holder gives it back, or dies, makes room for the next one. So does one
  that has said nothing for ``cooldown`` seconds: that is the bound of all that may get lost. The
  first word of either of the two then decides.
* OPEN, nothing is let through. *Held* open by an operator, no time ends it.

Every ``now`` is in seconds on one clock that never goes back.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, Literal, NamedTuple

from sluice.actors.settings import BreakerSettings

State = Literal["closed", "half_open", "open"]
STATES: Final[tuple[State, ...]] = ("closed", "half_open", "open")
"""In the order of ``sse_circuit_breaker_state``: from well to worst."""

What = Literal["answered", "ended", "failed", "broke", "released"]
"""What is told of a call: it has its first content; it ended well; it failed before its first
content, or after it; nothing came of it that says anything of the provider."""

FAILURES: Final[frozenset[What]] = frozenset({"failed", "broke"})

BreakerOrder = Literal["open", "close", "reset"]
"""An operator's. ``reset`` forgets the failures that were counted; ``close`` leaves them, if it
is closed already."""

_Event = Literal["tripped", "cooled", "probe_succeeded", "probe_failed", "opened", "closed"]

TRANSITIONS: Final[dict[tuple[State, _Event], State]] = {
    ("closed", "tripped"): "open",
    ("open", "cooled"): "half_open",
    ("half_open", "probe_succeeded"): "closed",
    ("half_open", "probe_failed"): "open",
    ("closed", "opened"): "open",
    ("half_open", "opened"): "open",
    ("open", "opened"): "open",
    ("half_open", "closed"): "closed",
    ("open", "closed"): "closed",
}
"""The whole table; any other pair is no event of that state."""


class Probe(NamedTuple):
    """Who holds the probe: its permit's name, the process it lives in, and since when."""

    permit: str
    process: str
    since: float


class Run:
    """Failures one after the other, without a success between them."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, now: float, window: float) -> int:
        """One more at ``now``; how many of them are at most ``window`` seconds old."""
        self._times.append(now)
        while self._times[0] < now - window:
            self._times.popleft()
        return len(self._times)

    def end(self) -> None:
        """A success."""
        self._times.clear()


class Breaker:
    """The breaker of one provider, or of one model."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        """May be another from now on: it counts at the next failure, and for what is open."""
        self.state: State = "closed"
        """As of the last `look`, which all that has a ``now`` begins with."""
        self.held = False
        self._opened_at = 0.0
        self._before, self._after = Run(), Run()
        self._probes: dict[str, Probe] = {}

    def __repr__(self) -> str:
        held = ", held" if self.held else ""
        return f"<Breaker {self.state}{held}, {self.failing} failing, probes {[*self._probes]}>"

    @property
    def failing(self) -> int:
        """Failures without a success since."""
        return max(len(self._before), len(self._after))

    @property
    def runs(self) -> tuple[bool, bool]:
        """Whether there are failures before the first content, and after it, that a success ends.

        A success has to be told for them, and once more when one of the two begins anew.
        """
        return len(self._before) > 0, len(self._after) > 0

    # -- time ------------------------------------------------------------------------------

    def look(self, now: float) -> State:
        """The state at ``now``."""
        if not self.settings.enabled:
            self._go("closed", now)
            self._forget()
        elif self.state == "open" and now >= self._opens_until:
            self._go("cooled", now)
        return self.state

    @property
    def _opens_until(self) -> float:
        return inf if self.held else self._opened_at + self.settings.cooldown

    def blocked_until(self) -> float:
        """No permit is to be had before; ``inf``: not before it is told; 0: there is one now."""
        if self.state == "open":
            return self._opens_until
        if self.state == "half_open" and self._probes:
            return max(probe.since for probe in self._probes.values()) + self.settings.cooldown
        return 0.0

    # -- calls -----------------------------------------------------------------------------

    def admit(self, permit: str, process: str, now: float) -> bool:
        """Whether the call ``permit`` of ``process`` is let through. HALF_OPEN, it is the probe.

        Idempotent for the probe itself.
        """
        if self.look(now) != "half_open":
            return self.state == "closed"
        if permit in self._probes:
            return True
        if now < self.blocked_until():
            return False
        self._probes[permit] = Probe(permit, process, now)
        return True

    def hear(self, what: What, permit: str, now: float) -> None:
        """What became of a call; ``permit``: its name, if it was a probe."""
        self.look(now)
        if not self.settings.enabled:
            return
        if self.state == "closed":
            self._count(what, now)
        elif permit in self._probes:
            self._hear_probe(what, permit, now)

    def _count(self, what: What, now: float) -> None:
        if what in FAILURES:
            run = self._before if what == "failed" else self._after
            if run.add(now, self.settings.window) >= self.settings.failures:
                self._go("tripped", now)
            return
        if what != "released":
            self._before.end()
        if what == "ended":
            self._after.end()

    def _hear_probe(self, what: What, permit: str, now: float) -> None:
        if what == "released":
            del self._probes[permit]
        else:
            self._go("probe_failed" if what in FAILURES else "probe_succeeded", now)

    def bereave(self, process: str) -> None:
        """``process`` has ended, and the probes in it."""
        self._probes = {
            name: probe for name, probe in self._probes.items() if probe.process != process
        }

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Those under way: one, but for one that has been silent for too long."""
        return tuple(self._probes.values())

    # -- operators -------------------------------------------------------------------------

    def obey(self, order: BreakerOrder, now: float) -> None:
        """An operator's order. One that is switched off stays closed."""
        self.look(now)
        if not self.settings.enabled:
            return
        if order == "open":
            self._go("opened", now)
            self.held = True
        else:
            self._go("closed", now)
        if order == "reset":
            self._forget()

    # -- the one way from state to state -----------------------------------------------------

    def _go(self, event: _Event, now: float) -> None:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            return
        self.state = state
        self.held = False
        self._forget()
        if state == "open":
            self._opened_at = now

    def _forget(self) -> None:
        """What was counted, and who held a probe, is of the state that was left."""
        self._before.end()
        self._after.end()
        self._probes.clear()
