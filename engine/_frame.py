"""Frames: what is on the wire of a link.

A frame is its length, four bytes, most significant first, and then that many bytes of msgpack: an
array whose first element says which kind of frame it is. Rule 1: every kind is in this file.
"""

from __future__ import annotations

from struct import Struct
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from msgspec.msgpack import Decoder

from ._crash import CrashReport
from ._protocol import ENCODER

VERSION: Final = 1
"""Of what is on the wire. Both ends are of one release, so another one is refused."""
MAX_FRAME: Final = 1 << 20
"""Bytes of a frame, unless a link says otherwise."""
LONGEST_CHAIN: Final = 64
"""Waiting actors told along with an ask; a longer circle ends at its deadline."""
HEADER: Final = Struct(">I")

Name = Annotated[str, Meta(max_length=256)]
Path = Annotated[str, Meta(max_length=1024)]
Chain = Annotated[tuple[Annotated[str, Meta(max_length=2048)], ...], Meta(max_length=LONGEST_CHAIN)]
Number = Annotated[int, Meta(ge=0)]


class Hello(msgspec.Struct, tag=0, array_like=True, frozen=True):
    """The first frame of each end."""

    version: int
    process: Name
    pid: Number


class Beat(msgspec.Struct, tag=1, array_like=True, frozen=True):
    """Nothing to say, but alive."""


class Ready(msgspec.Struct, tag=2, array_like=True, frozen=True):
    """The process can be asked now."""


class Stop(msgspec.Struct, tag=3, array_like=True, frozen=True):
    """Finish within so many seconds, and end."""

    seconds: float


class Ask(msgspec.Struct, tag=4, array_like=True, frozen=True):
    """A message that wants a `Reply`, within so many seconds from now (infinity: ever)."""

    number: Number
    path: Path
    kind: Name
    seconds: float
    chain: Chain
    body: msgspec.Raw


class Tell(msgspec.Struct, tag=5, array_like=True, frozen=True):
    """A message that wants no reply; but `Taken`, once it is in the mailbox, if it has a number.

    Those without one have the number 0.
    """

    number: Number
    path: Path
    kind: Name
    chain: Chain
    body: msgspec.Raw


class Reply(msgspec.Struct, tag=6, array_like=True, frozen=True):
    """What the handler returned."""

    number: Number
    body: msgspec.Raw


class Failure(msgspec.Struct, tag=7, array_like=True, frozen=True):
    """What was raised instead of a reply; see `_failure`."""

    number: Number
    kind: Name
    path: Path
    text: str
    fault: Name = ""
    traceback: str = ""
    report: CrashReport | None = None


class Cancel(msgspec.Struct, tag=8, array_like=True, frozen=True):
    """Nobody waits any more for what was asked or told."""

    number: Number


class Taken(msgspec.Struct, tag=9, array_like=True, frozen=True):
    """What was told is in the mailbox (or a dead letter, if the actor is stopped)."""

    number: Number


Frame = Hello | Beat | Ready | Stop | Ask | Tell | Reply | Failure | Cancel | Taken
DECODER: Final[Decoder[Any]] = Decoder(Frame)


class FrameError(ValueError):
    """The peer sent what is no frame; the message says what was wrong, never what was in it."""


def pack(frame: Frame) -> bytes:
    """``frame`` as it goes on the wire."""
    body = ENCODER.encode(frame)
    return HEADER.pack(len(body)) + body


def unpack(body: bytes | bytearray) -> Frame:
    """The frame in ``body``. Raises `ValueError`."""
    frame: Frame = DECODER.decode(body)
    return frame


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames; holds at most one frame, and one read."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray) -> list[bytearray]:
        """The bodies that ``data`` completes. Raises `FrameError` for a length that cannot be."""
        buffer = self._buffer
        buffer += data
        bodies: list[bytearray] = []
        start, end = 0, len(buffer)
        while end - start >= HEADER.size:
            (length,) = HEADER.unpack_from(buffer, start)
            if not 0 < length <= self._limit:
                raise FrameError(f"a frame of {length} bytes; allowed are 1 to {self._limit}")
            following = start + HEADER.size + length
            if following > end:
                break
            bodies.append(buffer[start + HEADER.size : following])
            start = following
        del buffer[:start]
        return bodies
