"""An operation on its way to the store, and the task that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from .errors import StoreUnavailable
from .operation import Op


class Entry:
    """One operation on its way. Settled or failed once, whatever comes later is dropped.

    ``due``: when it has taken too long, as `trio.current_time` counts.
    """

    __slots__ = (
        "_answer",
        "_error",
        "_is_open",
        "_task",
        "due",
        "op",
        "redirects",
        "with_source",
    )

    def __init__(self, op: Op, due: float) -> None:
        self.op = op
        self.due = due
        self.with_source = False
        self.redirects = 0
        self._is_open = True
        self._answer: object = None
        self._error: StoreUnavailable | None = None
        self._task: trio.lowlevel.Task | None = None

    def settle(self, value: object) -> None:
        """The answer has come."""
        if self._is_open:
            self._is_open = False
            self._answer = value
            if self._task is not None:
                trio.lowlevel.reschedule(self._task)

    def fail(self, error: StoreUnavailable) -> None:
        """There will be none."""
        if self._is_open:
            self._is_open = False
            self._error = error
            if self._task is not None:
                trio.lowlevel.reschedule(self._task)

    async def wait(self) -> Any:
        """The answer. Raises what it failed with. For one task; cancelled, it harms nobody else.

        No checkpoint if it is there already.
        """
        if self._is_open:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._error is not None:
            raise self._error
        return self._answer

    def _abort(self, _: Callable[[], None]) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
