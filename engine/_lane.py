"""A lane: work on the same children is done one piece after the other.

Under ``one_for_one`` each child has a lane of its own, so that one that starts slowly delays no
other; under the other strategies all children share one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from ._errors import EngineError, NotPossible

Work = Callable[[], Awaitable[str]]


class Job:
    """One piece of work, and its result for who waits for it."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._done = trio.Event()
        self._result = ""
        self._error: EngineError | None = None

    async def run(self) -> None:
        """Do it. Errors of the engine go to who waits."""
        try:
            self._result = await self._work()
        except EngineError as error:
            self._error = error
        except BaseException:
            self.refuse("its supervisor is stopping")
            raise
        finally:
            self._done.set()

    def refuse(self, why: str) -> None:
        """It will not be done."""
        self._error = NotPossible(why)
        self._done.set()

    async def wait(self) -> str:
        """Its result, when it is done. Raises what it raised."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


class Lane:
    """Jobs in the order in which they came."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._running = False
        self._more = trio.Event()

    def submit(self, work: Work, nursery: trio.Nursery) -> Job:
        """Have ``work`` done in ``nursery`` when all that came before is done."""
        job = Job(work)
        self._jobs.append(job)
        self._more.set()
        if not self._running:
            self._running = True
            nursery.start_soon(self._run)
        return job

    async def rest(self, delay: float) -> None:
        """Wait for ``delay`` seconds, or until more work comes: an operator is not kept waiting."""
        self._more = trio.Event()
        if not self._jobs:
            with trio.move_on_after(delay):
                await self._more.wait()

    async def _run(self) -> None:
        try:
            while self._jobs:
                await self._jobs.popleft().run()
        finally:
            self._running = False
            for job in self._jobs:
                job.refuse("its supervisor is stopping")
            self._jobs.clear()
