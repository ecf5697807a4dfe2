"""The actor of one provider: it keeps the connections that idle between two requests.

Promises:

* A connection on lease belongs to its stream: no restart or crash of the actor touches it, and
  it comes back to whatever incarnation there is then.
* A connection is never lost between the two: not by an asker that gave up, not by a late reply.
* One that the provider closed while it idled is not given out.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from sluice.engine import Actor, Mailbox, Message, handler

from .failures import UpstreamFault
from .settings import ProviderSettings
from .upstream import IdlePool, UpstreamConnection

SWEEP_PERIOD: Final = 5.0
"""Seconds between two looks for idle connections that expired or that the provider closed."""

SETTLE_TIMEOUT: Final = 1.0
"""Seconds for the end of a body's framing to follow the end of what it said."""


class Lease:
    """Where a connection is put for one who asks: it is there even if the asker gave up."""

    __slots__ = ("connection", "withdrawn")

    def __init__(self) -> None:
        self.connection: UpstreamConnection | None = None
        self.withdrawn = False
        """The asker has gone: nothing must be put here any more."""


class Checkout(Message[None], frozen=True):
    """Put an idle connection into ``lease``, if there is one."""

    lease: Lease


class CheckIn(Message[None], frozen=True):
    """Take back a connection that may be used again."""

    connection: UpstreamConnection


class Settle(Message[None], frozen=True):
    """Take back a connection whose answer is over, as soon as its framing is over too."""

    connection: UpstreamConnection


class ProviderStatistics(msgspec.Struct, frozen=True):
    """A snapshot of one incarnation's pool."""

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


class Provider(Actor):
    """The actor ``providers/<name>``: keeps idle connections, gives out the one used last."""

    mailbox = Mailbox(capacity=16384)

    def __init__(self, settings: ProviderSettings) -> None:
        self._pool: IdlePool[UpstreamConnection] = IdlePool(settings.max_idle, settings.keepalive)
        self._settling: set[UpstreamConnection] = set()
        self._reused = self._missed = self._returned = 0
        self._expired = self._stale = self._surplus = 0

    async def on_start(self) -> None:
        """Start the sweeps."""
        self.context.spawn(self._sweep_for_ever)

    def on_end(self) -> None:
        """Close what idles; what is on lease belongs to its stream."""
        for connection in [*self._pool.clear(), *self._settling]:
            connection.close()

    @handler
    def checkout(self, message: Checkout) -> None:
        """Give out the connection used last that is still good."""
        lease = message.lease
        if lease.withdrawn:
            return
        now = trio.current_time()
        while (connection := self._pool.take(now)) is not None:
            if not connection.is_stale():
                lease.connection = connection
                self._reused += 1
                return
            connection.close()
            self._stale += 1
        self._missed += 1

    @handler
    def check_in(self, message: CheckIn) -> None:
        """Keep it."""
        self._keep(message.connection)

    @handler
    def settle(self, message: Settle) -> None:
        """Wait for its end, beside the mailbox."""
        self._settling.add(message.connection)
        self.context.spawn(self._settle, message.connection)

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

    def _keep(self, connection: UpstreamConnection) -> None:
        self._returned += 1
        surplus = self._pool.put(connection, trio.current_time())
        if surplus is not None:
            surplus.close()
            self._surplus += 1

    async def _settle(self, connection: UpstreamConnection) -> None:
        with trio.move_on_after(SETTLE_TIMEOUT):
            await settled(connection)
        self._settling.discard(connection)
        if connection.reusable:
            self._keep(connection)
        else:
            connection.close()

    async def _sweep_for_ever(self) -> None:
        while True:
            await trio.sleep(SWEEP_PERIOD)
            self._sweep(trio.current_time())

    def _sweep(self, now: float) -> None:
        expired = self._pool.expire(now)
        stale = self._pool.discard(UpstreamConnection.is_stale)
        self._expired += len(expired)
        self._stale += len(stale)
        for connection in [*expired, *stale]:
            connection.close()


async def settled(connection: UpstreamConnection) -> None:
    """Return when ``connection`` has nothing more to say, well or not."""
    try:
        while not connection.complete and not await connection.receive():
            pass
    except UpstreamFault:
        return
