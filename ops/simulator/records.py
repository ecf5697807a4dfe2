"""What the simulator saw: for tests to ask whether the right thing reached the provider."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import msgspec
import trio


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


class Records:
    """The counts, and the last ``keep`` requests."""

    def __init__(self, seed: int, keep: int) -> None:
        self.received: deque[Received] = deque(maxlen=keep)
        self._seed = seed
        self._models: Counter[str] = Counter()
        self._requests = self._retries = self._open = self._peak = 0
        self._completed = self._disconnects = 0
        self._changed = trio.lowlevel.ParkingLot()

    def statistics(self) -> Statistics:
        """A snapshot."""
        return Statistics(
            self._seed,
            self._requests,
            dict(self._models),
            self._retries,
            self._open,
            self._peak,
            self._completed,
            self._disconnects,
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
        self._changed.unpark_all()

    def finish(self, *, left: bool) -> None:
        """Its answer ended, or its client ``left``."""
        self._open -= 1
        if left:
            self._disconnects += 1
        else:
            self._completed += 1
        self._changed.unpark_all()

    async def wait(self, condition: Callable[[Statistics], bool]) -> Statistics:
        """Return as soon as ``condition`` is true. The caller sets the deadline."""
        while not condition(now := self.statistics()):
            await self._changed.park()
        return now
