"""Slots on their way back to the connection manager, without a message each.

A stream that ends puts its name here, which costs an append; the manager takes what has come
before it decides or tells anything. It is right whenever somebody looks, and no stream's end
costs a switch of tasks.
"""

from __future__ import annotations


class Returns:
    """The names of streams that need their slots no more. It outlives the manager."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._names)

    def put(self, name: str) -> None:
        """``name`` needs its slot no more, or had none. Never blocks and never raises."""
        self._names.append(name)

    def take(self) -> list[str]:
        """All that was put since the last time."""
        names, self._names = self._names, []
        return names
