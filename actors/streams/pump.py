"""The pump: one task a worker that moves the bytes of all its streams in their steady state.

Rules (each is tested by its words):

* Level-triggered: a source that is ready and was not served is reported again.
* Every event of a batch is checked against today's registration, because descriptors are
  reused: a source that was removed, or replaced, by an earlier event of the batch is not called.
* At most `BATCH` events or `TURN` seconds a turn, one read a source, then a checkpoint.
* A turn first reads from all, then writes to all: a peer that is woken by the first write finds
  the others done when it looks, instead of being woken by each.
* A source that raises is taken out and told (`Source.on_lost`); it takes no other with it.
* If the pump itself fails, every stream is told, takes its socket back and goes on without it;
  the pump starts again on a new set, for the watchers and for the streams to come. Failing
  `RECOVERIES` times without a turn between, it dies.

The poller is an argument, so that a simulation runs this very pump on virtual time.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import msgspec
import trio

BATCH = 64
"""Events a turn: nginx takes 512, libuv 1024; ours are dearer, and a turn blocks all tasks."""

TURN = 0.001
"""Seconds a turn."""

RECOVERIES = 5
"""Failures in a row after which a pump gives up: its set cannot be had, or cannot be waited for."""


class Watcher(Protocol):
    """Tells when a descriptor can be read, without a task that waits for it."""

    def add(self, fd: int, on_ready: Callable[[], None]) -> None:
        """Call ``on_ready`` in every turn in which ``fd`` can be read or has failed.

        One registration a descriptor. ``on_ready`` runs synchronously and must not block.
        """

    def add_hangup(self, fd: int, on_hangup: Callable[[], None]) -> None:
        """Call ``on_hangup`` in every turn in which ``fd``'s peer has closed, half or whole."""

    def remove(self, fd: int) -> None:
        """Forget ``fd``; before it is closed. Idempotent."""


class Poller(Protocol):
    """What the pump needs of an epoll set."""

    def register(self, fd: int, *, hangup_only: bool = False) -> None:
        """Report ``fd`` while it was closed or has failed, or, by default, can be read."""

    def unregister(self, fd: int) -> None:
        """Report ``fd`` no more."""

    def poll(self, most: int) -> list[tuple[int, int]]:
        """Descriptors that are ready now, with why; at most ``most``, without waiting."""

    async def wait(self) -> None:
        """Return when `poll` would report something."""

    def close(self) -> None:
        """Release the set."""


class EpollPoller:
    """An epoll set that trio waits for."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def register(self, fd: int, *, hangup_only: bool = False) -> None:
        """Report ``fd`` while it can be read, was closed by its peer or has failed."""
        wanted = select.EPOLLRDHUP if hangup_only else select.EPOLLIN | select.EPOLLRDHUP
        self._epoll.register(fd, wanted)

    def unregister(self, fd: int) -> None:
        """Report ``fd`` no more."""
        self._epoll.unregister(fd)

    def poll(self, most: int) -> list[tuple[int, int]]:
        """Descriptors that are ready now, with their events of epoll(7)."""
        return self._epoll.poll(0, most)

    async def wait(self) -> None:
        """Return when a descriptor of the set is ready."""
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def close(self) -> None:
        """Release the set; whoever waits for it gets `trio.ClosedResourceError`."""
        if not self._epoll.closed:
            trio.lowlevel.notify_closing(self._epoll.fileno())
            self._epoll.close()


Lost = Callable[[BaseException | None], None]


class Source:
    """One registration: whom to call. Without ``on_lost`` it only watches, and outlives a fault."""

    __slots__ = ("flush", "hangup_only", "on_lost", "on_ready")

    def __init__(
        self,
        on_ready: Callable[[], object],
        on_lost: Lost | None,
        flush: Callable[[], None] | None,
        *,
        hangup_only: bool = False,
    ) -> None:
        self.hangup_only = hangup_only
        self.on_ready = on_ready
        self.on_lost = on_lost
        self.flush = flush


class PumpStatistics(msgspec.Struct, frozen=True):
    """A snapshot of a pump."""

    alive: bool
    sources: int
    turns: int
    events: int
    faults: int


class Pump:
    """Calls the sources that are ready, turn by turn. A `Watcher`.

    Args:
        make_poller: an empty set of descriptors; called again after a fault of the pump's own.
        on_fault: told of an exception that a source raised, or that the pump failed with.
    """

    def __init__(
        self, make_poller: Callable[[], Poller], on_fault: Callable[[BaseException], None]
    ) -> None:
        self._make_poller = make_poller
        self._poller = make_poller()
        self._on_fault = on_fault
        self._sources: dict[int, Source] = {}
        self._alive = True
        self._turns = self._events = self._faults = 0
        self.now = 0.0
        """`trio.current_time` of the turn that runs."""

    @property
    def alive(self) -> bool:
        """Whether sources are called; False once the pump has died."""
        return self._alive

    def statistics(self) -> PumpStatistics:
        """A snapshot."""
        return PumpStatistics(
            self._alive, len(self._sources), self._turns, self._events, self._faults
        )

    def add(
        self,
        fd: int,
        on_ready: Callable[[], object],
        on_lost: Lost | None = None,
        flush: Callable[[], None] | None = None,
    ) -> None:
        """Call ``on_ready`` while ``fd`` is ready, until `remove` or a fault.

        If it returns something true, ``flush`` is called at the end of the same turn, unless
        ``fd`` was removed by then. ``on_lost`` is called once: with what one of them raised, or
        with None when the fault was the pump's.
        """
        if self._alive:
            self._poller.register(fd)
            self._sources[fd] = Source(on_ready, on_lost, flush)
        elif on_lost is not None:
            on_lost(None)

    def add_hangup(self, fd: int, on_hangup: Callable[[], None]) -> None:
        """Call ``on_hangup`` while ``fd``'s peer has closed, until `remove`."""
        if self._alive:
            self._poller.register(fd, hangup_only=True)
            self._sources[fd] = Source(on_hangup, None, None, hangup_only=True)

    def remove(self, fd: int) -> None:
        """Forget ``fd``. Idempotent."""
        if self._sources.pop(fd, None) is not None:
            self._poller.unregister(fd)

    async def run(self) -> None:
        """Turn until cancelled, or until it has failed too often; then every source is told."""
        failures = 0
        try:
            while failures < RECOVERIES:
                try:
                    await self._poller.wait()
                    self._turn()
                    failures = 0
                except Exception as fault:  # noqa: BLE001 -- whatever it is, the streams live on
                    failures += 1
                    self._recover(fault)
        finally:
            self._die()

    def _turn(self) -> None:
        self.now = trio.current_time()
        self._turns += 1
        sources = self._sources
        batch = [(fd, sources.get(fd)) for fd, _ in self._poller.poll(BATCH)]
        stop_at = perf_counter() + TURN
        full = []
        for fd, source in batch:
            if source is None or sources.get(fd) is not source:
                continue
            self._events += 1
            try:
                if source.on_ready():
                    full.append((fd, source))
            except Exception as fault:  # noqa: BLE001 -- one stream's fault must not reach another
                self._lose(fd, source, fault)
            if perf_counter() > stop_at:
                break
        for fd, source in full:
            if sources.get(fd) is source and source.flush is not None:
                try:
                    source.flush()
                except Exception as fault:  # noqa: BLE001 -- likewise
                    self._lose(fd, source, fault)

    def _lose(self, fd: int, source: Source, fault: Exception) -> None:
        self._tell(fault)
        if self._sources.get(fd) is source:
            self.remove(fd)
        if source.on_lost is not None:
            source.on_lost(fault)

    def _recover(self, fault: Exception) -> None:
        self._tell(fault)
        self._poller.close()
        self._poller = self._make_poller()
        for fd, source in tuple(self._sources.items()):
            if source.on_lost is None:
                self._poller.register(fd, hangup_only=source.hangup_only)
            else:
                del self._sources[fd]
                source.on_lost(None)

    def _die(self) -> None:
        self._alive = False
        self._poller.close()
        sources, self._sources = self._sources, {}
        for source in sources.values():
            if source.on_lost is not None:
                source.on_lost(None)

    def _tell(self, fault: Exception) -> None:
        self._faults += 1
        self._on_fault(fault)
