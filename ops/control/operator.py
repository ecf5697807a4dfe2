"""The actor ``control`` of a worker: it shows the worker to the host, and does what that orders.

Promises:

* It answers at once, whatever is being done: an order is carried out beside it, to its end, also
  if this actor is what is restarted.
* What happens in the worker is told to the host in order, as soon as it can be; what waits is
  bounded, and what was dropped is missed there.
* The worker logs from the level that its host does, and has its limits: also one that was
  started after that was changed, or did not answer then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import trio

from sluice.actors.limits.limiter import Limiter
from sluice.actors.streams.streams import Place
from sluice.engine import (
    Actor,
    ActorError,
    ActorStatistics,
    EngineError,
    Event,
    FrameTooLarge,
    Mailbox,
    NotPossible,
    Ref,
    System,
    UnknownPath,
    handler,
)
from sluice.engine import Done as EngineDone
from sluice.ops import logs

from .box import Box
from .orders import CONTROL, Finished, LimitTo, LogFrom, Order, Refusal, Report, Survey, Surveyed
from .sight import Home, happened, node_of, outcome_of

PULSE: Final = 5.0
"""Seconds after which the host is told even that nothing happened: so it is heard, too."""
PATIENCE: Final = 1.0
"""Seconds that the host has to take a report."""


class Shown(Protocol):
    """What the actor shows: a `Worker`."""

    place: Place
    system: System
    limiter: Limiter

    def lifecycle(self) -> str:
        """Where it is between its start and its end."""

    @property
    def spawn(self) -> Callable[..., None]:
        """Starts a task that lives as long as the worker."""

    def actors(self) -> list[ActorStatistics]:
        """A snapshot of every actor."""


class News:
    """What the worker has to tell; it outlives the actor's incarnations."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._some = trio.Event()
        self.box = Box()

    def put(self, event: Event) -> None:
        """``event`` has happened. Neither blocks nor raises."""
        self.box.put(happened(event, self._home))
        self._some.set()

    async def wait(self, seconds: float) -> None:
        """Return when there is something to tell, or after ``seconds``."""
        if not self.box:
            self._some = trio.Event()
            with trio.move_on_after(seconds):
                await self._some.wait()


class WorkerControl(Actor):
    """Answers the host's `control`.

    Args:
        worker: what it shows.
        home: the worker's name and id.
        news: what it has to tell, kept by the factory from one incarnation to the next.
        host: the host's name.
    """

    mailbox = Mailbox(capacity=256)

    def __init__(self, worker: Shown, home: Home, news: News, host: str) -> None:
        self._worker = worker
        self._home = home
        self._news = news
        self._address = f"{CONTROL}@{host}"

    async def on_start(self) -> None:
        """Hear from the host what is in force there, if it answers; then tell for ever."""
        with suppress(ActorError):
            await self._tell()
        self.context.spawn(self._tell_for_ever)

    async def on_stop(self) -> None:
        """Tell what is left, if that can be told now."""
        with suppress(ActorError):
            while self._news.box:
                await self._tell()

    @handler
    def survey(self, _message: Survey) -> Surveyed:
        """The worker, now."""
        system = self._worker.system.statistics()
        return Surveyed(
            self._worker.lifecycle(),
            system.uptime,
            system.actors,
            system.crashes,
            system.restarts,
            node_of(self._worker.system.tree(), self._worker.actors(), self._home),
        )

    @handler
    def order(self, message: Order) -> str:
        """Begin it."""
        control = self.context.ref(self._address)
        self._worker.spawn(carry_out, self._worker.system, message, self._home, control)
        return self._worker.place.process

    @handler
    def log_from(self, message: LogFrom) -> None:
        """Log from that level on."""
        logs.set_level(message.level)

    @handler
    def limit_to(self, message: LimitTo) -> None:
        """Limit callers so."""
        self._worker.limiter.limits = message.limits

    async def _tell_for_ever(self) -> None:
        while True:
            await self._news.wait(PULSE)
            try:
                await self._tell()
            except ActorError:  # it starts, stops, or is held up: what waits is told later
                await trio.sleep(PATIENCE)

    async def _tell(self) -> None:
        box = self._news.box
        first, events = box.first, box.batch()
        report = Report(self._worker.place.process, first, events)
        try:
            there = await self.context.ref(self._address).ask(report, timeout=PATIENCE)
        except FrameTooLarge:
            box.shorten()
            return
        box.taken(first + len(events) - 1)
        self._worker.limiter.limits = there.limits
        if there.level != logs.set_level(None)[0]:
            logs.set_level(there.level)


async def carry_out(system: System, order: Order, home: Home, control: Ref) -> None:
    """Do ``order``, and tell ``control`` what came of it, if that still listens."""
    finished = await _finished(system, order, home)
    with suppress(ActorError):
        await control.tell(finished)


async def _finished(system: System, order: Order, home: Home) -> Finished:
    commands: dict[str, Callable[[str], Awaitable[EngineDone]]] = {
        "restart": system.restart,
        "pause": system.pause,
        "resume": system.resume,
        "stop": system.stop,
    }
    try:
        done = await commands[order.action](order.path)
    except UnknownPath as problem:
        return Finished(order.number, refusal=Refusal("unknown_path", str(problem)))
    except NotPossible as problem:
        return Finished(order.number, refusal=Refusal("not_possible", str(problem)))
    except EngineError as problem:
        return Finished(order.number, refusal=Refusal("failed", str(problem)))
    return Finished(order.number, outcome_of(done, home.suffix))
