"""What a link has to send: bounded, in order, and all that waits in one write.

A frame that comes alone is written at once, by who sends it: that saves a lone ask a turn of the
event loop on each side. One is alone if nothing waits, and if what was read last was one frame,
and nothing was written at once since; so under load, frames are gathered for a turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from ._options import Counts, LinkOptions
    from ._wire import Wire


class Outbox:
    """One link's. Its ``run`` is a task of the link's."""

    __slots__ = (
        "_counts",
        "_more",
        "_room",
        "_wire",
        "closed",
        "has_sent",
        "is_alone",
        "size",
        "waiting",
    )

    def __init__(self, wire: Wire, counts: Counts) -> None:
        self._wire = wire
        self._counts = counts
        self.waiting: list[bytes] = []
        """Frames that wait to be sent."""
        self.size = 0
        """Bytes that wait to be sent, what is being written included."""
        self.is_alone = False
        """What was read last was alone, and nothing was written at once since."""
        self.has_sent = False
        """Since somebody last set this to False."""
        self.closed = False
        self._more = trio.Event()
        self._room: trio.Event | None = None
        """There, if somebody waits for room."""

    def push(self, data: bytes) -> None:
        """Send ``data``, a frame."""
        self._counts.frames_sent += 1
        self.has_sent = True
        if self.is_alone and not self.size:
            self.is_alone = False
            written = self._wire.write_nowait(data)
            if written:
                self._counts.writes += 1
                self._counts.bytes_sent += written
                if written == len(data):
                    return
                data = data[written:]
        if not self.waiting:
            self._more.set()
        self.waiting.append(data)
        self.size += len(data)

    def is_full(self, options: LinkOptions) -> bool:
        """Whether as much waits as may."""
        return len(self.waiting) >= options.backlog or self.size >= options.backlog_bytes

    async def wait_change(self) -> None:
        """Wait until there may be more room."""
        if self._room is None:
            self._room = trio.Event()
        await self._room.wait()

    def changed(self) -> None:
        """There may be more room."""
        if self._room is not None:
            self._room.set()
            self._room = None

    def close(self) -> None:
        """Nothing more is sent."""
        self.closed = True
        self.waiting.clear()
        self.changed()

    async def run(self) -> None:
        """Write what waits, until cancelled. Raises as `Wire.write`."""
        out, counts = self.waiting, self._counts
        while True:
            if not out:
                self._more = trio.Event()
                await self._more.wait()
            data = b"".join(out)
            out.clear()
            await self._wire.write(data)
            counts.writes += 1
            counts.bytes_sent += len(data)
            self.size -= len(data)
            self.changed()

    async def flush(self, seconds: float) -> None:
        """Wait until all is written, or nothing more is sent; ``seconds`` at most."""
        with trio.move_on_after(seconds):
            while self.size and not self.closed:
                await self.wait_change()
