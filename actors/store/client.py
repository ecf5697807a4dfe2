"""The store, as whoever needs it sees it: one client a process, beside the tree of actors.

A request loses at most ``settings.timeout`` seconds to the store in all, and gets no error from
it but `StoreUnavailable`. After one operation that was not answered in time, the store is passed
by: operations fail at once, until a probe in the background succeeds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import trio

from .blocking import GRACE, BlockingConnection
from .channel import Channel, ChannelStatistics
from .counts import Counts
from .entry import Entry
from .errors import StoreRefused, StoreUnavailable
from .operation import Op
from .patience import Patience
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
        began = trio.current_time()
        entry = Entry(op, self._due(began, patience, 1))
        self._send((entry,))
        return await self._counted(entry.wait(), 1, began, patience)

    async def run_many(self, ops: Sequence[Op], patience: Patience | None = None) -> list[Any]:
        """The answers to ``ops``, sent together, in order. As `run`; no transaction.

        If one is refused, that is raised, though others may have been done.
        """
        began = trio.current_time()
        due = self._due(began, patience, len(ops))
        entries = [Entry(op, due) for op in ops]
        self._send(entries)
        answers: list[Any] = await self._counted(_all_of(entries), len(ops), began, patience)
        return answers

    def _due(self, began: float, patience: Patience | None, operations: int) -> float:
        """When what begins now has taken too long. Raises `StoreUnavailable`."""
        timeout = self._settings.timeout
        if patience is None or patience.left >= timeout:
            return began + timeout
        if patience.left <= 0:
            self.counts.passed_by += operations
            raise StoreUnavailable("the request has lost its time to the store already")
        return began + patience.left

    def _send(self, entries: Sequence[Entry]) -> None:
        """Raises `StoreUnavailable` if a server is passed by."""
        try:
            for entry in entries:
                self._network.channel_for(entry.op).submit(entry)
        except StoreUnavailable:
            self.counts.passed_by += len(entries)
            raise

    async def _counted(
        self, waiting: Awaitable[Any], operations: int, began: float, patience: Patience | None
    ) -> Any:
        """What ``waiting`` for so many operations comes to."""
        try:
            answer = await waiting
        except StoreRefused:
            self.counts.refused += operations
            raise
        except StoreUnavailable:
            self.counts.lost += operations
            raise
        finally:
            took = trio.current_time() - began
            if patience is not None:
                patience.left -= took
        self.counts.answer(operations, took)
        return answer

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


async def _all_of(entries: Sequence[Entry]) -> list[Any]:
    """Their answers, in order."""
    return [await entry.wait() for entry in entries]
