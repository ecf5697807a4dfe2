"""The circuit breakers of a replica, together: what the actors of `breakers` share.

It outlives them. What is not at rest is told to every worker when it changes: one that hears of
nothing need not ask before it calls (see `permits`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Final, NamedTuple

import msgspec
import trio

from sluice.actors.settings import BreakerSettings

from .breaker import FAILURES, STATES, Breaker, BreakerOrder, Probe, State, What

SOON: Final = 1.0
"""Seconds after which another try makes sense while a probe is under way."""


class View(msgspec.Struct, frozen=True):
    """A breaker that is not at rest, as a worker must know it."""

    name: str
    state: State
    blocked: float
    """Seconds in which no permit is to be had; ``inf``: until the next view."""
    retry_after: float
    """Seconds that one who is refused is told."""


class Bulletin(msgspec.Struct, frozen=True):
    """All breakers that are not at rest: open, half open, or failing. Versions count up."""

    version: int = 0
    views: tuple[View, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """A breaker went from state to state. ``by`` says why."""

    name: str
    before: State
    after: State
    by: str
    held: bool
    cooldown: float


class Standing(msgspec.Struct, frozen=True):
    """One breaker, for an operator."""

    name: str
    state: State
    held: bool = False
    """Open until an operator closes or resets it."""
    failing: int = 0
    """Consecutive failures, while it is closed."""
    seconds: float | None = None
    """Until a probe is let through, if it is open and not held."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of a call: see `breaker.What`. ``permit``: its name, if it was a probe."""

    name: str
    what: What
    permit: str = ""


class _Said(NamedTuple):
    """What workers know of one breaker."""

    state: State
    held: bool
    blocked_until: float
    failing: tuple[bool, bool]
    """`Breaker.runs`"""


_AT_REST: Final = _Said("closed", held=False, blocked_until=0.0, failing=(False, False))

OnChange = Callable[[Change], None]
"""Called at once for each transition; it neither blocks nor raises."""
OnBulletin = Callable[[Bulletin], None]
"""Likewise when workers should know more than before."""


def provider_of(name: str) -> str:
    """The provider of a breaker: ``openai`` of ``openai/gpt-4o``."""
    return name.partition("/")[0]


class Circuits:
    """All breakers, by name: one a provider (``openai``), and one a model that has its own.

    Args:
        settings: of each.
        on_change: told of each transition.
        on_bulletin: told what workers should know, when that has changed for the worse, or a state
            has changed; what is merely well again they hear when they ask.
    """

    def __init__(
        self,
        settings: Mapping[str, BreakerSettings],
        on_change: OnChange = lambda _: None,
        on_bulletin: OnBulletin = lambda _: None,
    ) -> None:
        self._on_change = on_change
        self._on_bulletin = on_bulletin
        self._breakers: dict[str, Breaker] = {}
        self._restless: dict[str, _Said] = {}
        """What workers know of those that are not at rest."""
        self._rest = Bulletin()
        self._turned = trio.Event()
        self.failures: Counter[str] = Counter()
        """Failed calls that count, by provider, whatever the state (``seed 4.2``)."""
        self.configure(settings)

    def __repr__(self) -> str:
        return f"<Circuits {self._breakers}>"

    def configure(self, settings: Mapping[str, BreakerSettings]) -> None:
        """Have these settings, at once. A breaker that stays keeps its state."""
        for name, each in settings.items():
            if name in self._breakers:
                self._breakers[name].settings = each
            else:
                self._breakers[name] = Breaker(each)
        for name in self._breakers.keys() - settings.keys():
            del self._breakers[name]
            if self._restless.pop(name, None) is not None:
                self._rest = Bulletin(self._rest.version + 1)
        self._wake()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all breakers."""
        return tuple(self._breakers)

    @property
    def probes(self) -> tuple[Probe, ...]:
        """All that are under way."""
        return tuple(each for breaker in self._breakers.values() for each in breaker.probes)

    def guards(self, name: str) -> bool:
        """Whether the breaker ``name`` is switched on."""
        return self._breakers[name].settings.enabled

    def of(self, provider: str) -> tuple[str, ...]:
        """The names of the breakers of ``provider``."""
        return tuple(name for name in self._breakers if provider_of(name) == provider)

    # -- what happens ----------------------------------------------------------------------

    def admit(self, name: str, permit: str, process: str, now: float) -> bool:
        """`Breaker.admit`; what nobody guards is let through."""
        breaker = self._breakers.get(name)
        if breaker is None:
            return True
        self.look(now, [name])
        admitted = breaker.admit(permit, process, now)
        self._settle(name, "", now)
        return admitted

    def hear(self, verdict: Verdict, now: float) -> None:
        """`Breaker.hear`."""
        if verdict.what in FAILURES:
            self.failures[provider_of(verdict.name)] += 1
        breaker = self._breakers.get(verdict.name)
        if breaker is not None:
            self.look(now, [verdict.name])
            by = _why(breaker, verdict.what)
            breaker.hear(verdict.what, verdict.permit, now)
            self._settle(verdict.name, by, now)

    def bereave(self, process: str, now: float) -> None:
        """``process`` has ended: what it probed, another may."""
        for name, breaker in self._breakers.items():
            breaker.bereave(process)
            self._settle(name, "", now)

    def obey(self, names: Iterable[str], order: BreakerOrder, now: float) -> None:
        """An operator's order."""
        for name in names:
            self.look(now, [name])
            self._breakers[name].obey(order, now)
            self._settle(name, "an operator", now)

    def look(self, now: float, names: Iterable[str] | None = None) -> None:
        """See what time has done, to ``names`` or to all: nothing, to those at rest."""
        for name in list(self._restless) if names is None else names:
            self._breakers[name].look(now)
            on = self.guards(name)
            why = "its cooldown has passed" if on else "circuit breakers are switched off"
            self._settle(name, why, now)

    def _settle(self, name: str, by: str, now: float) -> None:
        """Something may have happened to ``name``: tell whom it concerns."""
        breaker = self._breakers[name]
        before = self._restless.get(name, _AT_REST)
        after = _Said(breaker.state, breaker.held, breaker.blocked_until(), failing=breaker.runs)
        if after == before:
            return
        if after == _AT_REST:
            del self._restless[name]
        else:
            self._restless[name] = after
        self._rest = Bulletin(self._rest.version + 1)
        if (before.state, before.held) != (after.state, after.held):
            cooldown = breaker.settings.cooldown
            self._on_change(Change(name, before.state, after.state, by, after.held, cooldown))
        if after != _AT_REST or before.state != "closed":
            self._on_bulletin(self.bulletin(now))
        self._wake()

    # -- what is known ---------------------------------------------------------------------

    def bulletin(self, now: float) -> Bulletin:
        """What workers should know. Costs nothing while all are at rest."""
        if not self._restless:
            return self._rest
        self.look(now)
        views = tuple(self._view(name, now) for name in self._restless)
        return Bulletin(self._rest.version, views)

    def _view(self, name: str, now: float) -> View:
        breaker = self._breakers[name]
        blocked = max(0.0, breaker.blocked_until() - now)
        if breaker.state != "open":
            retry_after = SOON
        else:
            retry_after = breaker.settings.cooldown if blocked == inf else blocked
        return View(name, breaker.state, blocked, retry_after)

    def standing(self, name: str, now: float) -> Standing:
        """One breaker, for an operator."""
        self.look(now, [name])
        breaker = self._breakers[name]
        timed = breaker.state == "open" and not breaker.held
        seconds = breaker.blocked_until() - now if timed else None
        return Standing(name, breaker.state, breaker.held, breaker.failing, seconds)

    def states(self, now: float) -> Iterator[tuple[str, State]]:
        """The state of each breaker."""
        self.look(now)
        for name, breaker in self._breakers.items():
            yield name, breaker.state

    # -- time ------------------------------------------------------------------------------

    def due(self) -> float:
        """When something changes if nothing happens until then."""
        opened = (each for each in self._restless.values() if each.state == "open")
        return min((each.blocked_until for each in opened), default=inf)

    async def turned(self) -> None:
        """Return when something has happened."""
        await self._turned.wait()

    def _wake(self) -> None:
        turned, self._turned = self._turned, trio.Event()
        turned.set()


def _why(breaker: Breaker, what: What) -> str:
    """Why ``what`` changes its state, if it does."""
    if breaker.state == "half_open":
        return "its probe failed" if what in FAILURES else "its probe has its first content"
    return f"{breaker.settings.failures} consecutive failures"


def worst(states: Iterable[State]) -> State:
    """The worst of ``states``; ``closed`` if there is none."""
    return max(states, key=STATES.index, default="closed")
