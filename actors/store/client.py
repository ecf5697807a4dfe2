"""The store, as whoever needs it sees it: one client a process, beside the tree of actors.

A request loses at most ``settings.timeout`` seconds to the store in all, and gets no error from
it but `StoreUnavailable`. After one operation that was not answered in time, the store is passed
by: operations fail at once, until a probe in the background succeeds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import trio

from .ask import Ask, Entry, Patience
from .blocking import GRACE, BlockingConnection
from .channel import Channel, ChannelStatistics
from .counts import Counts
from .errors import StoreRefused, StoreUnavailable
from .operation import Op
from .settings import StoreSettings
from .subscription import BUFFER, Subscription


class Network(Protocol):
    """The servers behind one store, and which of them an operation is for."""

    def channels(self) -> list[Channel]:
        """All that are known now."""

    def channel_for(self, op: Op) -> Channel:
        """Raises `StoreUnavailable` if nobody is known to have its key."""

    async def known(self) -> None:
        """Return when all servers are known."""

    def gap(self) -> str | None:
        """What is missing beside what the channels know of; None if nothing is."""

    async def serve(self) -> None:
        """Keep up the connections, for ever."""

    async def dial_for(self, op: Op | None) -> trio.abc.Stream:
        """A connection of one's own to the server of ``op``. Raises `LinkFailed`."""


class StoreStatistics(msgspec.Struct, frozen=True):
    """A snapshot."""

    usable: bool
    """Whether every server that is known is used."""
    reason: str
    """Why not; empty if it is."""
    servers: list[ChannelStatistics]
    counts: Counts


class StoreClient:
    """One store's. ``serve`` it in a task that outlives whoever asks.

    Args:
        settings: of the store.
        network: its servers; `networks.open_client` makes them.
        counts: what their channels count in as well.
    """

    def __init__(self, settings: StoreSettings, network: Network, counts: Counts) -> None:
        self.counts = counts
        self._settings = settings
        self._network = network

    def __repr__(self) -> str:
        return f"<StoreClient {self.trouble() or 'usable'}>"

    async def serve(self) -> None:
        """Keep up the connections, for ever."""
        await self._network.serve()

    def patience(self) -> Patience:
        """What one request may lose to this store, in all that it asks of it."""
        return Patience(self._settings.timeout)

    async def run(self, op: Op, patience: Patience | None = None) -> Any:
        """The answer to ``op``: bytes, a number, None, or a list of those.

        Waits ``settings.timeout`` seconds at most, or what is left of ``patience`` if that is
        less. Raises `StoreUnavailable`, and its subclass `StoreRefused` if the answer is an
        error. Cancelled, it leaves the operation to be done or not.
        """
        return (await self.run_many((op,), patience))[0]

    async def run_many(self, ops: Sequence[Op], patience: Patience | None = None) -> list[Any]:
        """The answers to ``ops``, sent together, in order. As `run`; no transaction.

        If one is refused, that is raised, though others may have been done.
        """
        began = trio.current_time()
        if patience is not None and patience.left <= 0:
            self.counts.passed_by += len(ops)
            raise StoreUnavailable("the request has lost its time to the store already")
        timeout = self._settings.timeout
        left = timeout if patience is None else min(timeout, patience.left)
        ask = self._send(ops, began + left)
        try:
            results = await ask.wait()
        except StoreRefused:
            self.counts.refused += len(ops)
            raise
        except StoreUnavailable:
            self.counts.lost += len(ops)
            raise
        finally:
            took = trio.current_time() - began
            if patience is not None:
                patience.left -= took
        self.counts.answer(len(ops), took)
        return results

    def _send(self, ops: Sequence[Op], due: float) -> Ask:
        """Raises `StoreUnavailable` if a server is passed by."""
        ask = Ask(len(ops))
        try:
            for index, op in enumerate(ops):
                self._network.channel_for(op).submit(Entry(ask, index, op, due))
        except StoreUnavailable:
            self.counts.passed_by += len(ops)
            raise
        return ask

    @asynccontextmanager
    async def open_blocking(self, op: Op | None = None) -> AsyncIterator[BlockingConnection]:
        """A connection of one's own, for commands that wait (``BLPOP``, ``XREAD BLOCK``).

        ``op``: in a cluster, an operation on the key that is waited for.
        """
        connection = BlockingConnection(lambda: self._network.dial_for(op))
        try:
            yield connection
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GRACE):
                await connection.close()

    @asynccontextmanager
    async def subscribe(self, *channels: str, buffer: int = BUFFER) -> AsyncIterator[Subscription]:
        """What is published on ``channels`` from now on, ``buffer`` messages of it at most."""
        subscription = Subscription(lambda: self._network.dial_for(None), channels, buffer)
        receiving = subscription.serve
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiving)
            yield subscription
            nursery.cancel_scope.cancel()

    def nudge(self) -> None:
        """Look for the store now: somebody knows that it is there."""
        for channel in self._network.channels():
            channel.nudge()

    def trouble(self) -> str | None:
        """What is the matter with the store or a part of it, such as ``passed by: ...``, or None.

        It reads on from "The store is".
        """
        for channel in self._network.channels():
            circuit = channel.circuit
            if circuit.state != "usable":
                what = "full and takes no writes" if circuit.state == "full" else "passed by"
                return f"{what}: {channel.server}: {circuit.reason}"
        gap = self._network.gap()
        return None if gap is None else f"passed by in part: {gap}"

    async def usable(self, seconds: float) -> bool:
        """Wait for every known server to be usable, ``seconds`` at most; whether they are."""
        with trio.move_on_after(seconds):
            await self._network.known()
            for channel in self._network.channels():
                await channel.usable()
        return self.trouble() is None

    def statistics(self) -> StoreStatistics:
        """A snapshot."""
        trouble = self.trouble()
        servers = [channel.statistics() for channel in self._network.channels()]
        counts = msgspec.structs.replace(self.counts, buckets=list(self.counts.buckets))
        return StoreStatistics(trouble is None, trouble or "", servers, counts)
