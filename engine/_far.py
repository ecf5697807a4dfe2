"""Who waits for whom across processes: finds circles of asks that pass through links.

An ask that a handler sends over a link carries its chain: the actors that wait, directly or
through others, for the one who asks; each as ``path@process#pid``. The other side refuses it if
its actor waits for one of them, and else notes, for as long as the ask is in flight, that they
wait for this actor. When that chain changes, because somebody begins to wait for one of it, or
waits no more, the whole of the new one follows (a frame `Waits`), and so on to whom its actor
waits for in turn. So whichever ask closes a circle, and wherever, one of the processes knows all
of it as soon as what is under way has arrived, and an ask of it is refused; of two that close one
at the same time, both may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from trio.lowlevel import Task

from ._frame import LONGEST_CHAIN, Waits
from ._waits import Waiter, check, reach

if TYPE_CHECKING:
    from ._cell import Cell
    from ._link import Link


class FarActor:
    """An actor of another process, as far as this process knows who waits for whom."""

    __slots__ = ("main_task", "path", "uses", "waits_for")

    def __init__(self, path: str) -> None:
        self.path = path
        """With its process: ``path@process#pid``."""
        self.waits_for: list[Waiter] = []
        self.main_task: Task | None = None
        self.uses = 0


class Hold:
    """That the far actors of a chain wait for ``target``; until `release`."""

    __slots__ = ("_far", "_target", "_waits")

    def __init__(self, waits: FarWaits, target: Waiter) -> None:
        self._waits = waits
        self._target = target
        self._far: list[FarActor] = []

    def change(self, chain: Iterable[str]) -> None:
        """They are those of ``chain`` now. Raises `AskCycle`, and then nothing has changed."""
        chain = tuple(chain)
        self._waits.check(chain, self._target)
        before, self._far = self._far, self._waits.use_all(chain)
        for far in self._far:
            far.waits_for.append(self._target)
        self._let_go(before)

    def release(self) -> None:
        """They wait no more. Idempotent."""
        before, self._far = self._far, []
        self._let_go(before)

    def _let_go(self, before: list[FarActor]) -> None:
        for far in before:
            far.waits_for.remove(self._target)
            self._waits.drop(far)
        if self._target.waits_for:
            self._waits.changed(self._target)


class Outgoing:
    """That ``asker``, an actor here, waits for a far one; until `end`."""

    __slots__ = ("_far", "_link", "_number", "_waits", "asker", "chain")

    def __init__(self, waits: FarWaits, asker: Waiter, far: FarActor) -> None:
        self._waits = waits
        self._far = far
        self._link: Link | None = None
        self._number = 0
        self.asker = asker
        self.chain = waits.chain(asker)
        """As the far side knows it."""

    def sent(self, link: Link, number: int) -> None:
        """It is on its way, with the chain as it is, under ``number``."""
        self._link = link
        self._number = number

    def update(self) -> None:
        """Tell the far side of the chain, if it has changed since it was told."""
        chain, before = self._waits.chain(self.asker), self.chain
        self.chain = chain
        if self._link is not None and chain != before:
            self._link.send(Waits(self._number, chain))

    def end(self) -> None:
        """It waits no more."""
        self._waits.outgoing.remove(self)
        self.asker.waits_for.remove(self._far)
        if self._far.waits_for:
            self._waits.changed(self._far)
        self._waits.drop(self._far)


class FarWaits:
    """The far actors that wait for one of this process, or are waited for."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        """This process: ``name#pid``."""
        self._far: dict[str, FarActor] = {}
        self.cells: dict[str, Cell] = {}
        """The actors here, by path."""
        self.outgoing: list[Outgoing] = []
        """What actors here sent over links, and wait for."""

    def __len__(self) -> int:
        return len(self._far)

    def use(self, name: str) -> FarActor:
        """The far actor ``name``, kept until `drop`."""
        far = self._far.setdefault(name, FarActor(name))
        far.uses += 1
        return far

    def use_all(self, chain: Iterable[str]) -> list[FarActor]:
        """The far actors of ``chain``, likewise."""
        return [self.use(name) for name in chain if not self._is_here(name)]

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

    def hold(self, chain: Iterable[str], target: Waiter) -> Hold:
        """Note that the far actors of ``chain`` wait for ``target``. Raises `AskCycle`."""
        hold = Hold(self, target)
        hold.change(chain)
        return hold

    def wait(self, asker: Waiter, name: str) -> Outgoing:
        """Note that ``asker`` waits for the far actor ``name``. Raises `AskCycle`."""
        far = self.use(name)
        try:
            check(asker, far)
        except BaseException:
            self.drop(far)
            raise
        asker.waits_for.append(far)
        outgoing = Outgoing(self, asker, far)
        if far.waits_for:
            self.changed(far)
        self.outgoing.append(outgoing)
        return outgoing

    def changed(self, target: Waiter) -> None:
        """Others than before wait for ``target``: tell those for whom it waits in turn."""
        if self.outgoing:
            reached = reach(target)
            for one in self.outgoing:
                if one.asker in reached:
                    one.update()

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
