"""A rolling restart: every worker is replaced, one after the other, and nobody notices.

* Each new worker is ready before its old one is told to drain, so that never fewer accept.
* An old one accepts no more, and ends what it has begun; the next is not kept waiting by that.
* The first that cannot be replaced ends it: that worker, and those after it, go on as they were.
* Two rolling restarts follow each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from sluice.engine import ActorStatistics, Done, EngineError, NotPossible, Replace, System

START: Final = 30.0
"""Seconds in which a worker must be ready."""
WORKERS: Final = "workers"
"""The supervisor of the workers."""


class Interrupted(NotPossible):
    """A rolling restart that did not come to its end."""

    def __init__(self, why: str, replaced: int) -> None:
        super().__init__(why)
        self.replaced = replaced
        """How many workers had been replaced."""


class Rolling:
    """Replaces workers of ``system``.

    Args:
        system: the host's, running.
        names: of the workers, as actors below `WORKERS`.
        why_not: why it may not be done now; empty: it may.
    """

    def __init__(self, system: System, names: Sequence[str], why_not: Callable[[], str]) -> None:
        self._system = system
        self._names = names
        self._why_not = why_not
        self._turn = trio.Lock()

    async def one(self, name: str) -> Done:
        """Replace ``name``; one that is stopped is started. Raises `NotPossible`."""
        why_not = self._why_not()
        if why_not:
            raise NotPossible(why_not)
        began = trio.current_time()
        path = f"{WORKERS}/{name}"
        if self._system.inspect(path).state == "stopped":
            return await self._system.restart(path)
        try:
            replaced = await self._system.ref(path).ask(Replace(START), timeout=2 * START)
        except EngineError as failure:
            raise NotPossible(f"{path} goes on as it was: {failure}") from failure
        detail = f"process {replaced.new} serves; {replaced.old} drains"
        seconds = trio.current_time() - began
        return Done("restarted", path, "running", self._incarnation(path), detail, seconds)

    def _incarnation(self, path: str) -> int:
        """Of the actor that minds the process: it is the same, whichever process it has."""
        minder = self._system.inspect(path)
        return minder.incarnation if isinstance(minder, ActorStatistics) else 0

    async def all(self) -> Done:
        """Replace every worker; the outcome's detail has a word on each. Raises `Interrupted`."""
        async with self._turn:
            began = trio.current_time()
            told: list[str] = []
            for name in self._names:
                try:
                    done = await self.one(name)
                except EngineError as failure:
                    raise Interrupted("; ".join([*told, str(failure)]), len(told)) from failure
                told.append(f"{name}: {done.detail}")
            (node,) = [each for each in self._system.tree().children if each.path == WORKERS]
            seconds = trio.current_time() - began
            detail = "; ".join(told)
            return Done("restarted", WORKERS, node.state, node.incarnation, detail, seconds)
