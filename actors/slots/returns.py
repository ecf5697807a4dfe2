"""Slots on their way back to the connection manager, without a message each.

A stream that ends puts its name here, which costs an append. The manager of the same process
takes what has come before it decides or tells anything, so it is right whenever somebody looks.
"""

from __future__ import annotations

import trio


class Returns:
    """The names of streams that need their slots no more. It outlives the manager."""

    __slots__ = ("_names", "_poked", "_put")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._poked = False
        self._put = trio.Event()

    def __len__(self) -> int:
        return len(self._names)

    def put(self, name: str) -> None:
        """``name`` needs its slot no more, or had none. Never blocks and never raises."""
        self._names.append(name)
        if len(self._names) == 1:
            self._put.set()

    def take(self) -> list[str]:
        """All that was put since the last time."""
        names, self._names = self._names, []
        return names

    def poke(self) -> None:
        """Have `wait` return, now or as soon as somebody waits."""
        self._poked = True
        self._put.set()

    async def wait(self) -> None:
        """Return when there is something to take, or `poke` was called. For one who waits."""
        if not self._names and not self._poked:
            self._put = trio.Event()
            await self._put.wait()
        self._poked = False
