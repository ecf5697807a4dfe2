"""What the simulator saw: for tests to ask whether the right thing reached the provider."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import msgspec
import trio

from sluice.http.edge_state import EdgeState

_LOOK = 0.02
"""Seconds."""


class Received(msgspec.Struct, frozen=True):
    """A request as it came, its headers in order, with lower-case names."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: str
    model: str | None
    attempt: int


class Statistics(msgspec.Struct, frozen=True):
    """Counts since the start, and what is open now."""

    seed: int
    requests: int
    """All that were answered by plan, with whatever they got."""
    by_model: dict[str, int]
    """By the model's full name; requests without a valid one are not in it."""
    retries: int
    """Those that were not the first with their model and prompt."""
    open: int
    """Being answered at this moment."""
    peak: int
    """The most that were open at once."""
    completed: int
    """Whose plan was performed to its end, faults included."""
    disconnects: int
    """Whose client left before that."""
    held: int
    """Held by their option ``hold``, until they are released."""
    connections: int
    """Open now, idle ones included."""
    accepted: int
    """Connections since the start."""


class Records:
    """The counts, and the last ``keep`` requests."""

    def __init__(self, seed: int, keep: int) -> None:
        self.received: deque[Received] = deque(maxlen=keep)
        self._seed = seed
        self._models: Counter[str] = Counter()
        self._requests = self._retries = self._open = self._peak = 0
        self._completed = self._disconnects = 0
        self._held = trio.lowlevel.ParkingLot()
        self._changed = trio.lowlevel.ParkingLot()
        self._edge: EdgeState | None = None

    def attach(self, edge: EdgeState) -> None:
        """Take the counts of connections from ``edge``."""
        self._edge = edge

    def statistics(self) -> Statistics:
        """A snapshot."""
        edge = self._edge.statistics() if self._edge is not None else None
        return Statistics(
            self._seed,
            self._requests,
            dict(self._models),
            self._retries,
            self._open,
            self._peak,
            self._completed,
            self._disconnects,
            len(self._held),
            edge.open if edge is not None else 0,
            edge.accepted if edge is not None else 0,
        )

    def begin(self, received: Received | None, model: str | None, attempt: int) -> None:
        """A request was understood; its answer begins."""
        self._requests += 1
        self._open += 1
        self._peak = max(self._peak, self._open)
        self._retries += attempt > 1
        if model is not None:
            self._models[model] += 1
        if received is not None:
            self.received.append(received)
        self._tell()

    def finish(self, *, left: bool) -> None:
        """Its answer ended, or its client ``left``."""
        self._open -= 1
        if left:
            self._disconnects += 1
        else:
            self._completed += 1
        self._tell()

    async def hold(self) -> None:
        """Wait for `release`."""
        self._tell()
        await self._held.park()

    def release(self) -> int:
        """Let all go on that wait in `hold`. Returns how many."""
        return len(self._held.unpark_all())

    async def wait(self, condition: Callable[[Statistics], bool]) -> Statistics:
        """Return as soon as ``condition`` is true. The caller sets the deadline."""
        while not condition(now := self.statistics()):
            with trio.move_on_after(_LOOK):  # connections come and go without telling
                await self._changed.park()
        await trio.lowlevel.checkpoint()
        return now

    def _tell(self) -> None:
        if self._changed:
            self._changed.unpark_all()
