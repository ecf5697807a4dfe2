"""Permits to call a provider, on the side of those who call: step 4 of a stream's life.

A breaker that is at rest costs a request no ask: what is not at rest is pushed when it changes,
and asked for every `REFRESH` seconds, should that have been lost. Only where a breaker may be half
open is its actor asked, for the probe. What becomes of a call is told, in batches, and only where
it says something: every failure; a success where failures are known that it ends; whatever a probe
comes to.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from sluice.actors.failures import Failure
from sluice.actors.settings import ModelSettings
from sluice.engine import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    AskTimeout,
    MailboxFull,
    Ref,
    UnknownPath,
)

from .breaker import State, What
from .breakers import OTHER, AskBulletin, Judged, Probe, Probed
from .circuits import SOON, Bulletin, Verdict, View, provider_of
from .verdicts import counts

PATIENCE: Final = 1.0
"""Seconds in which an actor has to say whether a call is the probe."""

REFRESH: Final = 5.0
"""Seconds between two looks at all breakers: what a push that was lost may cost."""

UNTOLD: Final = 65_536
"""Verdicts that may wait; what comes then is lost, and counted. A probe's is bounded by time."""

BATCH: Final = 256
"""Verdicts that are told at once: far from a frame's bound."""


class _Guard:
    """What is known here of a breaker that is not at rest."""

    __slots__ = ("blocked_until", "owed", "retry_after", "state")

    def __init__(self, view: View, now: float) -> None:
        self.state: State = view.state
        self.blocked_until = now + view.blocked
        self.retry_after = view.retry_after
        self.owed: set[What] = {"answered", "ended"}
        """Successes that nobody here has told since this was known."""


class Permits:
    """What a process knows of the breakers, and what it has to tell them. It outlives `streams`.

    Args:
        process: its name, if it is one of several.
        breakers: the address of who minds those of a provider, with its name for ``{}``.
        enabled: False: every call is permitted, and nothing is told.
    """

    def __init__(
        self, process: str = "", breakers: str = "breakers/{}", *, enabled: bool = True
    ) -> None:
        self._process = process
        self._breakers = breakers
        self._enabled = enabled
        self._find: Callable[[str], Ref] | None = None
        self._refs: dict[str, Ref] = {}
        self._guards: dict[str, _Guard] = {}
        self._numbers = itertools.count(1)
        self._untold: list[Verdict] = []
        self._some = trio.Event()
        self.version = 0
        """Of what is known."""
        self.held = 0
        """Permits that are not over."""
        self.lost = 0
        """Verdicts that nobody took in time."""
        self.refused: Counter[str] = Counter()
        """Calls that were not made, by provider."""

    def __repr__(self) -> str:
        states = {name: guard.state for name, guard in self._guards.items()}
        return f"<Permits {self.held} held, {states}>"

    def reach(self, find: Callable[[str], Ref]) -> None:
        """An incarnation of `streams` is ready; ``find``: leads to an address, from there."""
        self._find = find
        self._refs.clear()

    # -- what is known ---------------------------------------------------------------------

    def learn(self, bulletin: Bulletin) -> None:
        """Know it, unless it is older than what is known."""
        if bulletin.version <= self.version:
            return
        now = trio.current_time()
        self.version = bulletin.version
        self._guards = {view.name: _Guard(view, now) for view in bulletin.views}

    def state(self, name: str) -> State:
        """What the breaker ``name`` was known to be."""
        guard = self._guards.get(name)
        return "closed" if guard is None else guard.state

    def blocks(self, model: ModelSettings) -> bool:
        """Whether a call of ``model`` would be refused now, as far as is known here."""
        guard = self._guards.get(model.circuit)
        if guard is None or guard.state == "closed" or not self._enabled:
            return False
        return trio.current_time() < guard.blocked_until

    # -- a permit --------------------------------------------------------------------------

    async def take(self, model: ModelSettings) -> Permit:
        """A permit to call the provider of ``model``. Give it back on every path: `Permit.over`.

        Raises a 503 `Failure` with the code ``breaker_open`` if it is not called for now.
        """
        name = model.circuit
        guard = self._guards.get(name)
        if guard is None or guard.state == "closed" or not self._enabled:
            return Permit(self, name)
        now = trio.current_time()
        if now < guard.blocked_until:
            left = guard.blocked_until - now
            raise self._refuse(name, min(left, guard.retry_after))
        return await self._probe(name)

    async def _probe(self, name: str) -> Permit:
        """Ask for the probe. Where it may have been granted unheard, it is given back."""
        number = f"{self._process}:{next(self._numbers)}"
        try:
            reply = await self._ask(Probe(name, number, self._process))
        except ActorStopped:  # an operator's will: nobody guards it
            return Permit(self, name)
        except (MailboxFull, ActorCrashed, AskTimeout):
            self.tell(Verdict(name, "released", number))
            raise self._refuse(name, SOON) from None
        except trio.Cancelled:
            self.tell(Verdict(name, "released", number))
            raise
        self.learn(reply.bulletin)
        if not reply.admitted:
            raise self._refuse(name, reply.retry_after)
        return Permit(self, name, number if reply.probe else "")

    async def _ask(self, question: Probe) -> Probed:
        provider = provider_of(question.name)
        try:
            return await self._ref(provider).ask(question, timeout=PATIENCE)
        except UnknownPath:
            return await self._other(provider).ask(question, timeout=PATIENCE)

    def _refuse(self, name: str, retry_after: float) -> Failure:
        self.refused[provider_of(name)] += 1
        return breaker_open(retry_after)

    # -- what is told ----------------------------------------------------------------------

    def succeeded(self, name: str, what: What) -> None:
        """A call that is no probe came to ``what``; told where that ends failures."""
        guard = self._guards.get(name)
        if guard is not None and what in guard.owed:
            guard.owed.discard(what)
            self.tell(Verdict(name, what))

    def tell(self, verdict: Verdict) -> None:
        """Have it told soon. Neither blocks nor raises."""
        if not self._enabled:
            return
        if len(self._untold) >= UNTOLD:
            self.lost += 1
            return
        self._untold.append(verdict)
        if len(self._untold) == 1:
            self._some.set()

    async def look_for_ever(self) -> None:
        """Ask for what is known, at once and again and again."""
        while True:
            with suppress(ActorError):  # it starts, or is held up: the next time, then
                self.learn(await self._ref(OTHER).ask(AskBulletin(), timeout=PATIENCE))
            await trio.sleep(REFRESH)

    async def tell_for_ever(self) -> None:
        """Tell the breakers what is to be told."""
        while True:
            if not self._untold:
                self._some = trio.Event()
                await self._some.wait()
            provider = provider_of(self._untold[0].name)
            await self._tell(provider, self._batch(provider))

    def _batch(self, provider: str) -> list[Verdict]:
        """The first of those that are to be told, as far as they are of ``provider``."""
        mine = itertools.takewhile(
            lambda verdict: provider_of(verdict.name) == provider, self._untold
        )
        batch = list(itertools.islice(mine, BATCH))
        del self._untold[: len(batch)]
        return batch

    async def _tell(self, provider: str, verdicts: list[Verdict]) -> None:
        """Where the actor was stopped, nobody counts, and nothing is lost by that."""
        with suppress(ActorError):
            try:
                await self._ref(provider).tell(Judged(verdicts))
            except UnknownPath:
                await self._other(provider).tell(Judged(verdicts))

    def _other(self, provider: str) -> Ref:
        """Who minds ``provider`` from now on: it has no actor of its own where the slots are."""
        self._refs[provider] = self._ref(OTHER)
        return self._refs[provider]

    def _ref(self, provider: str) -> Ref:
        if provider not in self._refs:
            assert self._find is not None  # noqa: S101 -- nothing is known or told before `reach`
            self._refs[provider] = self._find(self._breakers.format(provider))
        return self._refs[provider]


class Permit:
    """One call's. `over` is called once it is, on every path; the others before."""

    __slots__ = ("_answered", "_name", "_permits", "_probe", "_told")

    def __init__(self, permits: Permits, name: str, probe: str = "") -> None:
        self._permits = permits
        self._name = name
        self._probe = probe
        self._answered = False
        self._told = False
        permits.held += 1

    def __repr__(self) -> str:
        return f"<Permit {self._name}{', a probe' if self._probe else ''}>"

    def answered(self) -> None:
        """The first content has come. Idempotent; neither blocks nor raises."""
        if not self._answered:
            self._answered = True
            self._succeed("answered")

    def failed(self, reason: object) -> None:
        """The call has failed, or was ended by ``reason``: whether that counts stands in a table.

        See `verdicts`. A client that left is no `Failure`, and counts for nothing.
        """
        if isinstance(reason, Failure) and counts(reason, answered=self._answered):
            self._told = True
            what: What = "broke" if self._answered else "failed"
            self._permits.tell(Verdict(self._name, what, self._probe))

    def over(self, *, well: bool) -> None:
        """The call is over; ``well``: its answer was whole."""
        self._permits.held -= 1
        if well:
            self._succeed("ended")
        elif self._probe and not (self._told or self._answered):
            self._permits.tell(Verdict(self._name, "released", self._probe))

    def _succeed(self, what: What) -> None:
        if self._probe:
            self._permits.tell(Verdict(self._name, what, self._probe))
        else:
            self._permits.succeeded(self._name, what)


def breaker_open(retry_after: float) -> Failure:
    """Nobody was called; ``retry_after``: seconds until the next probe."""
    return Failure(
        "provider_error",
        "provider_call",
        "The provider is not called for now: its circuit breaker is not closed.",
        status=503,
        code="breaker_open",
        retry_after=retry_after,
    )
