"""The actor of one provider: it keeps the connections that idle between two requests.

Promises:

* A connection on lease belongs to its stream: no restart or crash of the actor touches it. It
  comes back to whatever incarnation there is then; if there is none just then, it is closed.
* Idle connections are the actor's: they are closed when they grow old, when the provider closed
  them, and when the actor ends. Without it every call makes a connection of its own.
* One that the provider closed while it idled is not given out.

Taking one and giving it back are no messages: the `Shelf` they lie on is within the callers'
reach. Asking would cost every request two switches, to decide nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from sluice.actors.failures import UpstreamFault
from sluice.actors.settings import ProviderSettings
from sluice.actors.upstream import IdlePool, UpstreamConnection
from sluice.engine import Actor, Mailbox, Message, handler

SWEEP_PERIOD: Final = 5.0
"""Seconds between two looks for idle connections that expired or that the provider closed."""

SETTLE_TIMEOUT: Final = 1.0
"""Seconds for the end of a body's framing to follow the end of what it said."""


class Settle(Message[None], frozen=True):
    """Take back a connection whose answer is over, as soon as its framing is over too."""

    connection: UpstreamConnection


class ProviderStatistics(msgspec.Struct, frozen=True):
    """A snapshot of a shelf. Counts are over all incarnations."""

    idle: int
    reused: int
    """Connections given out."""
    missed: int
    """Times that none was idle, so that the asker dialled."""
    returned: int
    expired: int
    """Closed because they had idled for too long."""
    stale: int
    """Closed because the provider had closed them, or had sent what nobody asked for."""
    surplus: int
    """Closed because enough were idle."""


class Shelf:
    """Where the idle connections of one provider lie. It outlives the actor's incarnations."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._pool: IdlePool[UpstreamConnection] = IdlePool(settings.max_idle, settings.keepalive)
        self._open = False
        self._reused = self._missed = self._returned = 0
        self._expired = self._stale = self._surplus = 0

    def __repr__(self) -> str:
        return f"<Shelf {'open' if self._open else 'closed'}, {len(self._pool)} idle>"

    def open(self) -> None:
        """There is an actor that looks after it."""
        self._open = True

    def close(self) -> None:
        """There is none any more: close what lies here, and what comes back."""
        self._open = False
        for connection in self._pool.clear():
            connection.close()

    def take(self, now: float) -> UpstreamConnection | None:
        """The connection used last that is still good, the caller's from now on.

        Each is looked at, though it costs a system call: what a provider has sent unasked would
        be taken for the answer to the next request, which is another client's.
        """
        while (connection := self._pool.take(now)) is not None:
            if not connection.is_stale():
                self._reused += 1
                return connection
            connection.close()
            self._stale += 1
        self._missed += 1
        return None

    def put(self, connection: UpstreamConnection, now: float) -> None:
        """Keep ``connection``, which may be used again."""
        if not self._open:
            connection.close()
            return
        self._returned += 1
        surplus = self._pool.put(connection, now)
        if surplus is not None:
            surplus.close()
            self._surplus += 1

    def tidy(self, now: float) -> None:
        """Close what is too old, or was closed by the provider."""
        expired = self._pool.expire(now)
        stale = self._pool.discard(UpstreamConnection.is_stale)
        self._expired += len(expired)
        self._stale += len(stale)
        for connection in [*expired, *stale]:
            connection.close()

    def statistics(self) -> ProviderStatistics:
        """A snapshot."""
        return ProviderStatistics(
            len(self._pool),
            self._reused,
            self._missed,
            self._returned,
            self._expired,
            self._stale,
            self._surplus,
        )


class Provider(Actor):
    """The actor ``providers/<name>``: looks after the idle connections on ``shelf``."""

    mailbox = Mailbox(capacity=16384)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._settling: set[UpstreamConnection] = set()

    async def on_start(self) -> None:
        """Open the shelf."""
        self._shelf.open()
        self.context.spawn(self._tidy_for_ever)

    def on_end(self) -> None:
        """Close what idles; what is on lease belongs to its stream."""
        self._shelf.close()
        for connection in self._settling:
            connection.close()

    @handler
    def settle(self, message: Settle) -> None:
        """Wait for its end, beside the mailbox."""
        self._settling.add(message.connection)
        self.context.spawn(self._settle, message.connection)

    def statistics(self) -> ProviderStatistics:
        """What lies on the shelf."""
        return self._shelf.statistics()

    async def _settle(self, connection: UpstreamConnection) -> None:
        with trio.move_on_after(SETTLE_TIMEOUT):
            await settled(connection)
        self._settling.discard(connection)
        if connection.reusable:
            self._shelf.put(connection, trio.current_time())
        else:
            connection.close()

    async def _tidy_for_ever(self) -> None:
        while True:
            await trio.sleep(SWEEP_PERIOD)
            self._shelf.tidy(trio.current_time())


async def settled(connection: UpstreamConnection) -> None:
    """Return when ``connection`` has nothing more to say, well or not."""
    try:
        while not connection.complete and not await connection.receive():
            pass
    except UpstreamFault:
        return
