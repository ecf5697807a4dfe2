"""What the connections of one server share: settings, counts, and whether it is shutting down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from sluice.actors.metrics.reports import RequestReport

from .asgi import Scope
from .edge_settings import EdgeSettings
from .http1.bodies import Bodies
from .http1.refusals import Refused
from .plain_report import refusal_report
from .spread import Spread

if TYPE_CHECKING:
    from .foreign import ForeignConnection
    from .http1.connection import Connection

logger = logging.getLogger("sluice.edge")


class EdgeCounts(msgspec.Struct):
    """Counted since the start. Handed in, they outlive a server."""

    accepted: int = 0
    turned_away: int = 0
    """Connections over the limit."""
    requests: int = 0
    refused: dict[int, int] = msgspec.field(default_factory=dict)
    """Requests that the edge itself refused, by status."""
    crashed: int = 0
    """Requests on which the application failed."""


class EdgeStatistics(msgspec.Struct, frozen=True):
    """A snapshot of one server."""

    open: int
    accepted: int
    turned_away: int
    requests: int
    refused: dict[int, int]
    crashed: int
    draining: bool


class EdgeState:
    """One server's connections and what they share.

    Args:
        settings: of the server.
        counts: where to count, if that shall outlive the server.
        on_refused: told of each request that the edge refuses, once; must not block.
        patient: whether a drain leaves idle connections their last request.
        spread: where several workers that accept at the same sockets tell how busy they are.
        takes: whether the application takes work now, or would only refuse it; asked often.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        counts: EdgeCounts | None = None,
        on_refused: Callable[[RequestReport], None] | None = None,
        patient: Callable[[], bool] = bool,
        spread: Spread | None = None,
        takes: Callable[[], bool] = lambda: True,
    ) -> None:
        self.settings = settings
        self.counts = counts or EdgeCounts()
        self.connections: set[Connection | ForeignConnection] = set()
        """Those that have got as far as HTTP."""
        self.open = 0
        """All that were accepted and are open, whatever they speak or still have to agree on."""
        self.idle = 0
        """Those of our own protocol that wait for another request: no load."""
        self.draining = False
        self.bodies = Bodies(max(settings.bodies_limit, 2 * settings.body_limit))
        self.spread = spread
        self._on_refused = on_refused
        self._patient = patient
        self._takes = takes

    def keeps_alive(self) -> bool:
        """Whether connections may go on after the response they are at."""
        return not self.draining

    def has_room(self) -> bool:
        """Whether another connection may be open."""
        return self.open < self.settings.max_connections

    def listens(self) -> None:
        """Connections are accepted from now on, unless it is draining already."""
        if self.spread is not None and not self.draining:
            self.spread.open()
            self.tell()

    def turned_away(self) -> None:
        """A connection was accepted, and is not let in: it is no load."""
        self.counts.turned_away += 1
        self.tell()

    def opened(self) -> None:
        """A connection was accepted, and is let in."""
        self.open += 1
        self.tell()

    def closed(self) -> None:
        """One that was let in is over."""
        self.open -= 1
        self.tell()

    def rests(self) -> None:
        """One waits for another request."""
        self.idle += 1
        self.tell()

    def goes_on(self) -> None:
        """It does not any more."""
        self.idle -= 1
        self.tell()

    def tell(self) -> None:
        """Tell the other workers how busy this one is, and how many more it would not refuse.

        Often enough: what the application takes changes without a word to us.
        """
        if self.spread is not None:
            takes = self.has_room() and self._takes()
            room = self.settings.max_connections - self.open
            self.spread.write(self.open - self.idle, takes=takes, room=room)

    def drain(self) -> None:
        """Close what is idle, unless patient; let the rest say that its response is the last."""
        self.draining = True
        if self.spread is not None:
            self.spread.close()
        if self._patient():
            return
        for connection in tuple(self.connections):
            connection.close_idle()

    def reap(self, now: float) -> None:
        """Have every connection end what nobody waits for."""
        for connection in tuple(self.connections):
            connection.reap(now)

    def note_refusal(self, refused: Refused, scope: Scope | None = None) -> None:
        """Count and report a request that goes no further; ``scope`` if its head was read."""
        by_status = self.counts.refused
        by_status[refused.status] = by_status.get(refused.status, 0) + 1
        if self._on_refused is not None:
            self._on_refused(refusal_report(refused, scope))

    def note_let_go(self, refused: Refused) -> None:
        """Report a connection that is closed without a word; it has had no answer to count."""
        if self._on_refused is not None:
            self._on_refused(refusal_report(refused, None, answered=False))

    def note_crash(self, error: Exception | None, scope: Mapping[str, Any]) -> None:
        """Count and log a request on which the application failed. No header, no body."""
        self.counts.crashed += 1
        logger.error(
            "the application failed on %s %r", scope["method"], scope["path"], exc_info=error
        )

    def note_fault(self, fault: BaseException) -> None:
        """Count and log what was meant to be impossible: one connection ends with it."""
        self.counts.crashed += 1
        logger.error("a connection failed", exc_info=fault)

    def statistics(self) -> EdgeStatistics:
        """A snapshot."""
        counts = self.counts
        return EdgeStatistics(
            self.open,
            counts.accepted,
            counts.turned_away,
            counts.requests,
            dict(counts.refused),
            counts.crashed,
            self.draining,
        )
