"""Slots on their way back to the connection manager, without a message each.

A stream that ends puts its name here, which costs an append. The manager of the same process
takes what has come before it decides or tells anything, so it is right whenever somebody looks;
to that of another process they are told (`connections.send_back`).
"""

from __future__ import annotations

import trio


class Returns:
    """The names of streams that need their slots no more. It outlives the manager."""

    __slots__ = ("_ended", "_names", "_put")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._ended: list[str] = []
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

    def end(self, process: str) -> None:
        """``process`` has ended, however it did, and with it all its streams. As `put`."""
        self._ended.append(process)

    def take_ended(self) -> list[str]:
        """The processes that ended since the last time."""
        processes, self._ended = self._ended, []
        return processes

    async def wait(self) -> None:
        """Return when there is something to take. For one who waits."""
        if not self._names:
            self._put = trio.Event()
            await self._put.wait()
