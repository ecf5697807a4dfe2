"""A task that waits for the answers to some operations, and how long a request is patient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from .errors import StoreUnavailable
from .operation import Op


class Patience:
    """What a request may still lose to the store: one for all its operations.

    ``left``: seconds; `StoreClient.run` takes off what it took.
    """

    __slots__ = ("left",)

    def __init__(self, seconds: float = 0.05) -> None:
        self.left = seconds

    def __repr__(self) -> str:
        return f"<Patience {self.left * 1000:.1f} ms>"


class Ask:
    """Answers that one task waits for. Settled or failed, whatever comes later is dropped."""

    __slots__ = ("_error", "_left", "_task", "results")

    def __init__(self, count: int) -> None:
        self.results: list[Any] = [None] * count
        self._left = count
        self._error: StoreUnavailable | None = None
        self._task: trio.lowlevel.Task | None = None

    def settle(self, index: int, value: object) -> None:
        """The answer to operation ``index``."""
        self.results[index] = value
        self._left -= 1
        if not self._left:
            self._wake()

    def fail(self, error: StoreUnavailable) -> None:
        """There is no use in waiting any more."""
        if self._error is None and self._left > 0:
            self._error = error
            self._left = 0
            self._wake()

    async def wait(self) -> list[Any]:
        """All answers, in order. Raises what it failed with. Cancelled, it harms nobody else."""
        if self._left > 0:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._error is not None:
            raise self._error
        return self.results

    def _wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _: Callable[[], None]) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Entry:
    """One operation on its way, and who waits for its answer."""

    __slots__ = ("ask", "due", "index", "op", "redirects", "with_source")

    def __init__(self, ask: Ask, index: int, op: Op, due: float) -> None:
        self.ask = ask
        self.index = index
        self.op = op
        self.due = due
        """When it has taken too long."""
        self.with_source = False
        self.redirects = 0

    def settle(self, value: object) -> None:
        """The answer has come."""
        self.ask.settle(self.index, value)

    def fail(self, error: StoreUnavailable) -> None:
        """There will be none."""
        self.ask.fail(error)
