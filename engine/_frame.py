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

VERSION: Final = 2
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


class Ask(msgspec.Struct, tag=4, array_like=True, frozen=True, gc=False):
    """A message that wants a `Reply`, within so many seconds from now (infinity: ever)."""

    number: Number
    path: Path
    kind: Name
    seconds: float
    chain: Chain
    body: msgspec.Raw


class Tell(msgspec.Struct, tag=5, array_like=True, frozen=True, gc=False):
    """A message that wants no reply; but `Taken`, once it is in the mailbox, if it has a number.

    Those without one have the number 0.
    """

    number: Number
    path: Path
    kind: Name
    chain: Chain
    body: msgspec.Raw


class Reply(msgspec.Struct, tag=6, array_like=True, frozen=True, gc=False):
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


class Cancel(msgspec.Struct, tag=8, array_like=True, frozen=True, gc=False):
    """Nobody waits any more for what was asked or told."""

    number: Number


class Taken(msgspec.Struct, tag=9, array_like=True, frozen=True, gc=False):
    """What was told is in the mailbox (or a dead letter, if the actor is stopped)."""

    number: Number


class Waits(msgspec.Struct, tag=10, array_like=True, frozen=True, gc=False):
    """Who waits for what was asked or told under this number, from now on: all of them."""

    number: Number
    chain: Chain


Frame = Hello | Beat | Ready | Stop | Ask | Tell | Reply | Failure | Cancel | Taken | Waits
DECODER: Final[Decoder[Any]] = Decoder(Frame)


class FrameError(ValueError):
    """The peer sent what is no frame; the message says what was wrong, never what was in it."""


def pack(frame: Frame) -> bytes:
    """``frame`` as it goes on the wire."""
    body = ENCODER.encode(frame)
    return HEADER.pack(len(body)) + body


def pack_ask(
    number: int, path: str, kind: str, seconds: float, chain: tuple[str, ...], message: object
) -> bytes:
    """An `Ask`, with its message encoded in the same go. Raises `TypeError`."""
    body = ENCODER.encode((4, number, path, kind, seconds, chain, message))
    return HEADER.pack(len(body)) + body


def pack_tell(number: int, path: str, kind: str, chain: tuple[str, ...], message: object) -> bytes:
    """A `Tell`, likewise."""
    body = ENCODER.encode((5, number, path, kind, chain, message))
    return HEADER.pack(len(body)) + body


def pack_reply(number: int, reply: object) -> bytes:
    """A `Reply`, likewise."""
    body = ENCODER.encode((6, number, reply))
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> Frame:
    """The frame in ``body``. Raises `ValueError`."""
    frame: Frame = DECODER.decode(body)
    return frame


class FrameReader:
    """Cuts a stream of bytes into the bodies of frames; holds at most one frame, and one read."""

    __slots__ = ("_begun", "_limit", "_wanted")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun = bytearray()
        """A frame that is not complete."""
        self._wanted = 0
        """Bytes of it, its length included, as far as that is known."""

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._begun)

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """The bodies that ``data`` completes. Raises `FrameError` for a length that cannot be."""
        begun = self._begun
        if begun:
            begun += data
            if len(begun) < self._wanted:
                return []
            data = begun
        whole = bytes(data)  # which msgspec decodes in half the time that it needs for a bytearray
        begun.clear()
        return self._cut(whole)

    def _cut(self, data: bytes) -> list[bytes]:
        bodies: list[bytes] = []
        start, end = HEADER.size, len(data)
        while start <= end:
            (length,) = HEADER.unpack_from(data, start - HEADER.size)
            if not 0 < length <= self._limit:
                raise FrameError(f"a frame of {length} bytes; allowed are 1 to {self._limit}")
            following = start + length
            if following > end:
                self._wanted = HEADER.size + length
                break
            bodies.append(data[start:following])
            start = following + HEADER.size
        else:
            self._wanted = HEADER.size
        self._begun += data[start - HEADER.size :]
        return bodies
