"""The body of a request: where it ends (RFC 9112, 6 and 7.1). No IO.

Our own, because httptools does not say where in its input a body ended, and what follows it is
the next request. Strict: what could be read in two ways is refused. Trailers and extensions of
chunks are read, bounded, and dropped.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from .refusals import bad_request, body_too_large

LINE_LIMIT = 1024
"""Bytes of a chunk's first line, or of a trailer; a browser's first line is at most 10."""

EXTRA_LIMIT = 16 * 1024
"""Bytes of extensions and trailers in all: hyper takes 16 KiB of extensions."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class Body(Protocol):
    """One body, as its bytes come."""

    complete: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The body's part of ``data``, decoded, and what follows the body. Raises `Refused`."""


class SizedBody:
    """A body of so many bytes."""

    __slots__ = ("complete", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.complete = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The body's part of ``data``, and what follows the body."""
        mine = data[: self.remaining]
        self.remaining -= len(mine)
        self.complete = self.remaining == 0
        return mine, data[len(mine) :]


class ChunkedBody:
    """A body in chunks, of at most ``limit`` bytes."""

    __slots__ = ("_chunk", "_extra", "_held", "_limit", "_read", "_step", "_total", "complete")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = b""  # the beginning of a line
        self._chunk = 0  # bytes of the chunk that are still to come
        self._total = 0  # bytes of all chunks so far announced
        self._extra = 0  # bytes of extensions and trailers so far
        self._step = self._read_size
        self._read: list[bytes] = []
        self.complete = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The body's part of ``data``, without its coding, and what follows the body."""
        data = self._held + data
        position = 0
        while not self.complete:
            after = self._step(data, position)
            if after == position:
                break
            position = after
        payload = b"".join(self._read)
        self._read.clear()
        if self.complete:
            self._held = b""
            return payload, data[position:]
        self._held = data[position:]
        return payload, b""

    # Each step reads from `position`, and returns where the next begins: `position` itself
    # while it wants more bytes.

    def _read_size(self, data: bytes, position: int) -> int:
        line = self._line(data, position)
        if line is None:
            return position
        size = _SIZE.fullmatch(line)
        if size is None:
            raise bad_request("The request's body has a malformed chunk.")
        self._count_extra(len(size[2] or b""))
        self._chunk = int(size[1], 16)
        self._total += self._chunk
        if self._total > self._limit:
            raise body_too_large(self._limit)
        self._step = self._read_data if self._chunk else self._read_trailer
        return position + len(line) + 2

    def _read_data(self, data: bytes, position: int) -> int:
        piece = data[position : position + self._chunk]
        self._chunk -= len(piece)
        self._read.append(piece)
        if not self._chunk:
            self._step = self._read_chunk_end
        return position + len(piece)

    def _read_chunk_end(self, data: bytes, position: int) -> int:
        end = data[position : position + 2]
        if not b"\r\n".startswith(end):
            raise bad_request("The request's body has a chunk that is longer than it says.")
        if len(end) < 2:
            return position
        self._step = self._read_size
        return position + 2

    def _read_trailer(self, data: bytes, position: int) -> int:
        line = self._line(data, position)
        if line is None:
            return position
        if not line:
            self.complete = True
        elif _TRAILER.fullmatch(line) is None:
            raise bad_request("The request's body has a malformed trailer.")
        self._count_extra(len(line))
        return position + len(line) + 2

    def _line(self, data: bytes, position: int) -> bytes | None:
        end = data.find(b"\r\n", position)
        if (end if end >= 0 else len(data)) - position > LINE_LIMIT:
            raise bad_request("The request's body has a line that is too long.")
        return data[position:end] if end >= 0 else None

    def _count_extra(self, count: int) -> None:
        self._extra += count
        if self._extra > EXTRA_LIMIT:
            raise bad_request("The request's body has more extras than content.")
