"""What is left out of a provider's answer: a malformed frame that stands alone. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Chunk

MALFORMED: Final = "malformed_chunk"
"""The code of a failure that may be a frame's alone."""


class Doubt:
    """Reads on after a malformed frame, and holds its failure until a good one has followed.

    Two in a row are a failure, and so is one that nothing but the end marker follows.
    """

    __slots__ = ("_read", "dropped", "pending")

    def __init__(self, read: Callable[[Any], Chunk | None]) -> None:
        self._read = read
        self.pending: Failure | None = None
        """Of a frame that no good one has followed yet."""
        self.dropped = 0
        """Frames that were left out."""

    def __repr__(self) -> str:
        return f"<Doubt {self.pending!r}, {self.dropped} dropped>"

    def over(self, failure: Failure) -> None:
        """Leave out the frame that was read with ``failure``. Raises it where that cannot be."""
        if failure.code != MALFORMED or self.pending is not None:
            raise failure
        self.pending = failure.bare()

    def read(self, said: Any) -> Chunk | None:
        """As the reader does. Raises `Failure`, that of the frame before included."""
        chunk = self._read(said)
        failure = self.pending
        if failure is not None:
            if chunk is None or (chunk.ends and not chunk.says_something):
                raise failure
            self.pending = None
            self.dropped += 1
        return chunk
