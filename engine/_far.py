"""Who waits for whom across processes: finds circles of asks that pass through links.

An ask that a handler sends over a link carries its chain: the actors that wait, directly or
through others, for the one who asks; each as ``path@process#pid``. The other side refuses it if
its actor waits for one of them, and else notes, for as long as the ask is in flight, that they
wait for this actor. So every circle is found that an ask over a link closes, and every circle
that an ask within a process closes, as far as its edges were known when its asks were sent; what
is not found ends at the askers' deadlines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from trio.lowlevel import Task

from ._frame import LONGEST_CHAIN
from ._waits import Waiter, check

if TYPE_CHECKING:
    from ._cell import Cell


class FarActor:
    """An actor of another process, as far as this process knows who waits for whom."""

    __slots__ = ("main_task", "path", "uses", "waits_for")

    def __init__(self, path: str) -> None:
        self.path = path
        """With its process: ``path@process#pid``."""
        self.waits_for: list[Waiter] = []
        self.main_task: Task | None = None
        self.uses = 0


class FarWaits:
    """The far actors that wait for one of this process, or are waited for."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        """This process: ``name#pid``."""
        self._far: dict[str, FarActor] = {}
        self.cells: dict[str, Cell] = {}
        """The actors here, by path."""

    def __len__(self) -> int:
        return len(self._far)

    def use(self, name: str) -> FarActor:
        """The far actor ``name``, kept until `drop`."""
        far = self._far.setdefault(name, FarActor(name))
        far.uses += 1
        return far

    def drop(self, far: FarActor) -> None:
        """It is used once less."""
        far.uses -= 1
        if not far.uses:
            self._far.pop(far.path, None)

    def chain(self, asker: Waiter) -> tuple[str, ...]:
        """The names of ``asker`` and of all that wait for it."""
        everyone: list[Waiter] = [*self.cells.values(), *self._far.values()]
        waiting = [one for one in everyone if one.waits_for]
        found: list[Waiter] = [asker]
        for one in found:  # which grows meanwhile
            found.extend(w for w in waiting if one in w.waits_for and w not in found)
        return tuple(self._name(one) for one in found[:LONGEST_CHAIN])

    def check(self, chain: Iterable[str], target: Waiter) -> None:
        """Raise `AskCycle` if ``target`` waits for one of ``chain``, or is one."""
        for name in chain:
            waiter = self._find(name)
            if waiter is not None:
                check(waiter, target)

    def hold(self, chain: Iterable[str], target: Waiter) -> Callable[[], None]:
        """Note that the far actors of ``chain`` wait for ``target``, until the result is called."""
        far = [self.use(name) for name in chain if not self._is_here(name)]
        for one in far:
            one.waits_for.append(target)

        def release() -> None:
            for one in far:
                one.waits_for.remove(target)
                self.drop(one)

        return release

    def _name(self, waiter: Waiter) -> str:
        if isinstance(waiter, FarActor):
            return waiter.path
        return f"{waiter.path}@{self._identity}"

    def _is_here(self, name: str) -> bool:
        return name.endswith(f"@{self._identity}")

    def _find(self, name: str) -> Waiter | None:
        if self._is_here(name):
            return self.cells.get(name.removesuffix(f"@{self._identity}"))
        return self._far.get(name)
