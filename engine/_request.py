"""One ask in flight, and the timer that bounds it.

An ask costs no scope and no task of its own: the asker's task parks in
`trio.lowlevel.wait_task_rescheduled`, and one timer task a system wakes those whose deadline
passed. (A `trio.fail_after` alone costs twice a checkpoint.)
"""

from __future__ import annotations

import heapq
from itertools import count
from math import inf
from typing import Any, Final, Protocol

import trio
from trio.lowlevel import Abort, Task, reschedule

from ._errors import AskTimeout
from ._latency import Latency
from ._message import Message


class Addressee(Protocol):
    """What a request knows of the actor that was asked."""

    path: str
    timeouts: int

    @property
    def latency(self) -> Latency:
        """Where the asks that are timed are counted."""


class Request:
    """A message that was asked, the task that waits for the reply, and then the reply."""

    __slots__ = ("addressee", "began", "error", "message", "reply", "task", "timeout")

    def __init__(
        self, message: Message[Any], addressee: Addressee, task: Task, timeout: float
    ) -> None:
        self.message = message
        self.addressee = addressee
        self.task: Task | None = task
        """None as soon as nobody waits: answered, timed out, or the asker was cancelled."""
        self.timeout = timeout
        self.began: float | None = None
        """When it was sent, if it is timed."""
        self.reply: Any = None
        self.error: Exception | None = None

    def answer(self, reply: object) -> bool:
        """Give the reply to the asker; False if nobody waits for it any more."""
        task = self.task
        if task is None:
            return False
        self.task = None
        self.reply = reply
        if self.began is not None:
            self.clock(self.began)
        reschedule(task)
        return True

    def fail(self, error: Exception) -> bool:
        """Raise ``error`` in the asker; False if nobody waits any more."""
        task = self.task
        if task is None:
            return False
        self.task = None
        self.error = error
        if self.began is not None:
            self.clock(self.began)
        reschedule(task)
        return True

    def clock(self, began: float) -> None:
        """It is over, and was timed."""
        self.addressee.latency.add(trio.current_time() - began)

    def take_error(self) -> Exception:
        """The error, once: kept here, it and its traceback would keep each other alive."""
        error, self.error = self.error, None
        return error or AssertionError("an error is taken once")

    def abandon(self, _raise_cancel: object) -> Abort:
        """The asker was cancelled (an abort function of trio)."""
        self.task = None
        return Abort.SUCCEEDED


PRUNE_FROM: Final = 1024
"""Entries from which the timer looks for those that are over."""


class Timer:
    """The deadlines of all asks of one system."""

    __slots__ = ("_armed", "_heap", "_order", "_prune_at", "_scope")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Request]] = []
        self._order = count()
        self._armed = inf
        self._scope = trio.CancelScope()
        self._prune_at = PRUNE_FROM

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, request: Request, deadline: float) -> None:
        """Fail ``request`` with `AskTimeout` at ``deadline``, if somebody still waits then."""
        heap = self._heap
        while heap and heap[0][2].task is None:  # over: what is freed soon is used again soon
            heapq.heappop(heap)
        heapq.heappush(heap, (deadline, next(self._order), request))
        if deadline < self._armed:
            self._armed = self._scope.deadline = deadline
        if len(heap) > self._prune_at:
            self._prune()

    async def run(self) -> None:
        """Wake those whose time has come, until cancelled."""
        while True:
            self._scope = trio.CancelScope(deadline=self._armed)
            with self._scope:
                await trio.sleep_forever()
            self._expire(trio.current_time())

    def _expire(self, now: float) -> None:
        heap = self._heap
        while heap and (heap[0][0] <= now or heap[0][2].task is None):
            _, _, request = heapq.heappop(heap)
            _time_out(request)
        self._armed = heap[0][0] if heap else inf

    def _prune(self) -> None:
        """Forget what is over, so that memory follows the asks in flight, not those of minutes."""
        self._heap = [entry for entry in self._heap if entry[2].task is not None]
        heapq.heapify(self._heap)
        self._prune_at = max(PRUNE_FROM, 2 * len(self._heap))


def _time_out(request: Request) -> None:
    if request.task is None:
        return
    addressee = request.addressee
    addressee.timeouts += 1
    what = f"no reply to {type(request.message).__name__} within {request.timeout:g} s"
    request.fail(AskTimeout(addressee.path, f"{addressee.path}: {what}"))
