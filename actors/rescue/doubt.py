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

    Two in a row are a failure, and so is one that nothing but the end marker follows. So is one
    that was more than a piece of text, as far as what follows it can tell: without the beginning
    of a block a stream is none, and a call without a piece of its arguments is another call.

    Args:
        read: as the reader does, or skims.
        follows: see `Reader`.
    """

    __slots__ = ("_follows", "_read", "dropped", "pending")

    def __init__(
        self, read: Callable[[Any], Chunk | None], follows: Callable[[Any], bool | None]
    ) -> None:
        self._read = read
        self._follows = follows
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
        failure = self.pending
        if failure is None:
            return self._read(said)
        follows = self._follows(said)
        chunk = self._read(said)
        is_end = chunk is None or (chunk.ends and not chunk.says_something)
        if is_end or follows is False:
            raise failure
        if follows:
            self.pending = None
            self.dropped += 1
        return chunk
