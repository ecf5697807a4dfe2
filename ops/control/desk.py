"""The actor ``control`` of a host: it takes what workers tell operators.

Who waits for an order, and who listens to events, stands in a `Desk`, which outlives it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from sluice.actors.settings import LimitSettings
from sluice.engine import Actor, Mailbox, handler
from sluice.ops import logs
from sluice.ops.words import counted

from .box import Counter
from .orders import Finished, InForce, Refusal, Report
from .protocol import Happened
from .sight import now


class Waiting:
    """One order that was given, and what came of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process = ""
        """Who carries it out; empty: nobody has begun."""
        self.finished: Finished | None = None
        self._done = trio.Event()

    def finish(self, finished: Finished) -> None:
        """The first word counts."""
        if self.finished is None:
            self.finished = finished
            self._done.set()

    async def wait(self) -> Finished:
        """What came of it."""
        await self._done.wait()
        assert self.finished is not None  # noqa: S101 -- set before the event is
        return self.finished


class Desk:
    """Orders under way in workers, who is told what happens there, and the limits in force."""

    def __init__(self, limits: LimitSettings | None = None) -> None:
        self.limits = limits or LimitSettings()
        self.listeners: set[Callable[[Happened], None]] = set()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Waiting] = {}
        self._counter = Counter()

    @contextmanager
    def order(self) -> Iterator[Waiting]:
        """An order with a number of its own, waited for within the block."""
        waiting = Waiting(next(self._numbers))
        self._waiting[waiting.number] = waiting
        try:
            yield waiting
        finally:
            del self._waiting[waiting.number]

    def finished(self, finished: Finished) -> None:
        """Whoever still waits for it is told."""
        waiting = self._waiting.get(finished.number)
        if waiting is not None:
            waiting.finish(finished)

    def ended(self, process: str) -> None:
        """``process`` is no more: what it was doing will not be finished."""
        self._counter.forget(process)
        for waiting in self._waiting.values():
            if waiting.process == process:
                said = f"{process.partition('#')[0]} ended before it had answered"
                waiting.finish(Finished(waiting.number, refusal=Refusal("failed", said)))

    def reported(self, report: Report) -> None:
        """Tell those who listen what is new, and how much of it was dropped."""
        dropped, events = self._counter.new(report.process, report.first, report.events)
        if dropped:
            self._tell(dropped_events(report.process.partition("#")[0], dropped))
        for event in events:
            self._tell(event)

    def _tell(self, event: Happened) -> None:
        for listener in tuple(self.listeners):
            listener(event)


def dropped_events(process: str, count: int) -> Happened:
    """An event that says that others are missing."""
    were = f"{counted(count, 'event')} of {process} {'was' if count == 1 else 'were'}"
    detail = f"{were} dropped: its host did not take them in time"
    return Happened(kind="dropped", at=now(), path="", process=process, detail=detail)


class HostControl(Actor):
    """Takes what workers tell; each report is answered with what is in force in the host."""

    mailbox = Mailbox(capacity=1024)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @handler
    def reported(self, message: Report) -> InForce:
        """Pass it on."""
        self._desk.reported(message)
        return InForce(logs.set_level(None)[0], self._desk.limits)

    @handler
    def finished(self, message: Finished) -> None:
        """An order was carried out, or not."""
        self._desk.finished(message)
