"""The actors ``breakers/NAME``: one a provider, for its breakers; with workers, in their host.

Promises:

* HALF_OPEN, one call in the whole replica is the probe; whoever asks meanwhile is refused.
* What stands in `Circuits` outlives an incarnation: a restart neither closes a breaker, nor
  forgets who holds its probe, nor lets a second one through.
* When a process ends, what it probed may be probed by another.
* Time is acted on when it comes, not when somebody looks.

A provider that a new configuration brings while the host runs has its breakers minded by
``breakers/other``. One that an operator stopped guards no more: what is open stays so until its
cooldown has passed, and then calls go through unguarded.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from sluice.engine import Actor, Mailbox, Message, handler

from .breaker import BreakerOrder
from .circuits import Bulletin, Circuits, Standing, Verdict

OTHER: Final = "other"
"""Who minds the breakers of providers that have no actor of their own. No provider's name."""


class AskBulletin(Message[Bulletin], frozen=True):
    """What of the breakers is not at rest?"""


class Probed(msgspec.Struct, frozen=True):
    """Whether the call may be made, and if so, whether it is the probe."""

    admitted: bool
    probe: bool
    retry_after: float
    """Seconds, if it may not."""
    bulletin: Bulletin


class Probe(Message[Probed], frozen=True):
    """May ``permit``, which lives in ``process``, be the probe of the breaker ``name``?"""

    name: str
    permit: str
    process: str


class Judged(Message[None], frozen=True):
    """What became of calls, in the order in which it did."""

    verdicts: list[Verdict]


class Bereaved(Message[None], frozen=True):
    """``process`` has ended, however it did."""

    process: str


class Operate(Message[list[Standing]], frozen=True):
    """An operator's order to some breakers, or, without one, the question how they are."""

    names: list[str]
    order: BreakerOrder | None = None


class BreakersStatistics(msgspec.Struct, frozen=True):
    """A snapshot."""

    breakers: list[Standing]


class Breakers(Actor):
    """Minds the breakers of one provider.

    Args:
        circuits: all of them, kept by the factory from one incarnation to the next.
        provider: whose; `OTHER`: of those that have no actor.
    """

    mailbox = Mailbox(capacity=16384)

    def __init__(self, circuits: Circuits, provider: str) -> None:
        self._circuits = circuits
        self._provider = provider

    async def on_start(self) -> None:
        """Keep time."""
        self.context.spawn(self._keep_time)

    @handler
    def probe(self, message: Probe) -> Probed:
        """Let it through or not."""
        now = trio.current_time()
        circuits = self._circuits
        admitted = circuits.admit(message.name, message.permit, message.process, now)
        bulletin = circuits.bulletin(now)
        view = next((view for view in bulletin.views if view.name == message.name), None)
        half_open = view is not None and view.state == "half_open"
        retry_after = 0.0 if view is None else view.retry_after
        return Probed(admitted, admitted and half_open, retry_after, bulletin)

    @handler
    def ask_bulletin(self, _message: AskBulletin) -> Bulletin:
        """Of all, whoever is asked."""
        return self._circuits.bulletin(trio.current_time())

    @handler
    def judged(self, message: Judged) -> None:
        """Count them."""
        now = trio.current_time()
        for verdict in message.verdicts:
            self._circuits.hear(verdict, now)

    @handler
    def bereaved(self, message: Bereaved) -> None:
        """Its probes are no more."""
        self._circuits.bereave(message.process, trio.current_time())

    @handler
    def operate(self, message: Operate) -> list[Standing]:
        """Obey, and tell how they are: those that a new configuration has not just taken away."""
        now, known = trio.current_time(), self._circuits.names
        names = [name for name in message.names if name in known]
        if message.order is not None:
            self._circuits.obey(names, message.order, now)
        return [self._circuits.standing(name, now) for name in names]

    def statistics(self) -> BreakersStatistics:
        """A snapshot."""
        now = trio.current_time()
        names = self._circuits.of(self._provider)
        return BreakersStatistics([self._circuits.standing(name, now) for name in names])

    async def _keep_time(self) -> None:
        while True:
            with trio.move_on_at(self._circuits.due()):
                await self._circuits.turned()
            self._circuits.look(trio.current_time())
