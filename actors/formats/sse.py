"""Server-Sent Events, both ways, exactly as the WHATWG's chapter has them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, sections "Parsing an
event stream" and "Interpreting an event stream". No IO. Bytes in, bytes out: UTF-8 is neither
decoded nor checked, so that a character split over two reads needs no care.

A decoder runs for every chunk of every stream, so there are two ways through it: whole events
of one ``data`` line each, which is all that a provider sends, are cut out by a few calls of C
code; everything else goes line by line. Both are linear in the bytes fed.
"""

from __future__ import annotations

from typing import Final

import msgspec

BOM: Final = b"\xef\xbb\xbf"

FRAME_LIMIT: Final = 1 << 20
"""Bytes of one event: 1 MiB, the order of what proxies allow a message (gRPC: 4 MiB)."""

ERROR = b'{"error":{}}'
"""What `SseDecoder.feed_data` makes of an event of the type ``error``: an error told in-band."""

JUNK: Final = b"\0"
"""What a strict decoder makes of a block in which no line has a field of an event: no JSON."""

HEARTBEAT: Final = b": hb\n"
"""A comment **without** a blank line: with one, SDKs that keep the last ``id`` would dispatch
an empty event. To be written between complete events only."""

RETRY_DIGITS: Final = 15
"""A longer ``retry`` is no time that anybody means, and is ignored."""


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event."""

    data: bytes
    """The ``data`` lines, joined by LF."""
    event: bytes = b""
    """The event's type; empty: ``message``."""
    id: bytes | None = None
    """The last event id when this event was dispatched (it stays until changed); None: none."""


class FrameTooLarge(Exception):  # noqa: N818 -- says what happened to the stream; nobody's bug
    """An event outgrew the decoder's limit. The decoder is of no further use."""


class SseDecoder:
    """Turns the bytes of one event stream into events, however they are split.

    Args:
        limit: bytes of one event that are kept while it is incomplete.
        strict: tell of blocks that have none of the fields, which the chapter ignores, as `JUNK`.
    """

    __slots__ = (
        "_clean",
        "_data",
        "_event",
        "_junk",
        "_limit",
        "_partial",
        "_size",
        "_skip_lf",
        "_start",
        "_strict",
        "comments",
        "last_id",
        "retry",
    )

    def __init__(self, limit: int = FRAME_LIMIT, *, strict: bool = False) -> None:
        self._limit = limit
        self._strict = strict
        self._junk = False
        """The block under way has lines without a field, if that is to be told."""
        self._clean = False
        """Nothing is kept, so that whole events may be cut out of the next bytes."""
        self._start: bytes | None = b""
        """The first bytes, until they show whether they are a BOM; then None."""
        self._partial: list[bytes] = []
        """Pieces of a line whose end has not come."""
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0
        """Bytes in ``_partial`` and ``_data``."""
        self._skip_lf = False
        """The last line ended in CR: a LF that follows belongs to it."""
        self.comments = 0
        """Comment lines so far: a provider's pings."""
        self.last_id: bytes | None = None
        self.retry: int | None = None
        """Milliseconds, from the last valid ``retry`` field."""

    @property
    def pending(self) -> bool:
        """Whether an end of the stream here would discard (the beginning of) an event."""
        return bool(self._data) or self._partial_field()

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that ``data`` completes. Raises `FrameTooLarge`."""
        self._begin(data)
        events: list[SseEvent] = []
        if self._clean and b"\r" not in data and len(data) <= self._limit:
            *blocks, data = data.split(b"\n\n")
            last_id = self.last_id
            for block in blocks:
                if block[:6] == b"data: " and b"\n" not in block:
                    events.append(SseEvent(block[6:], b"", last_id))
                elif block:
                    self._feed_block(block, events)
                    last_id = self.last_id
            if not data:
                return events
        self._feed_lines(data, events)
        return events

    def feed_data(self, data: bytes) -> list[bytes]:
        """`feed`, for those who want nothing of an event but its data: a third of the cost.

        An event of the type ``error`` is told as `ERROR`, whatever its data.
        """
        if self._start is not None:
            self._begin(data)
        if self._clean and b"\r" not in data and len(data) <= self._limit:
            if data.count(b"\n") == 2 and data[:6] == b"data: " and data[-2:] == b"\n\n":
                return [data[6:-2]]
            blocks = data.split(b"\n\n")
            if not blocks.pop() and _are_lines_of_data(data, len(blocks)):
                return [block[6:] for block in blocks]
        return [ERROR if event.event == b"error" else event.data for event in self.feed(data)]

    def feed_named(self, data: bytes) -> list[SseEvent]:
        """`feed`, for formats that name every event. Of ids it need not tell."""
        if self._start is not None:
            self._begin(data)
        if not (self._clean and data[-2:] == b"\n\n" and len(data) <= self._limit):
            return self.feed(data)
        lines = data.split(b"\n")
        if b"\r" in data or len(lines) % 3 != 1 or any(lines[2::3]):
            return self.feed(data)
        events = []
        for name, line in zip(lines[::3], lines[1::3], strict=False):
            if name[:7] != b"event: " or line[:6] != b"data: ":
                return self.feed(data)
            events.append(SseEvent(line[6:], name[7:]))
        return events

    def _begin(self, data: bytes) -> None:
        """A stream without a BOM, as most are, is clean from its first byte."""
        if self._start == b"" and data and data[0] != BOM[0]:
            self._start = None
            self._clean = True

    def _feed_block(self, block: bytes, events: list[SseEvent]) -> None:
        """Whole lines, and the empty line behind them."""
        for line in block.split(b"\n"):
            self._line(line, events)
        self._dispatch(events)

    def _feed_lines(self, data: bytes, events: list[SseEvent]) -> None:
        if self._start is not None:
            data = self._after_bom(data)
        if self._skip_lf and data:
            self._skip_lf = False
            if data.startswith(b"\n"):
                data = data[1:]
        if data:
            self._split_lines(data, events)
        kept = self._partial or self._data or self._event or self._junk
        self._clean = self._start is None and not (kept or self._skip_lf)

    def _after_bom(self, data: bytes) -> bytes:
        """``data`` without the BOM; empty while it may still become one."""
        start = (self._start or b"") + data
        if len(start) < len(BOM) and BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(BOM)

    def _split_lines(self, data: bytes, events: list[SseEvent]) -> None:
        lines = data.splitlines()
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        self._skip_lf = data.endswith(b"\r")
        if lines and self._partial:
            lines[0] = self._end_partial(lines[0])
        for line in lines:
            self._line(line, events)
        if rest:
            self._partial.append(rest)
            self._grow(len(rest))

    def _end_partial(self, end: bytes) -> bytes:
        self._partial.append(end)
        line = b"".join(self._partial)
        self._size -= len(line) - len(end)
        self._partial.clear()
        return line

    def _grow(self, by: int) -> None:
        self._size += by
        if self._size > self._limit:
            raise FrameTooLarge(f"an event of more than {self._limit} bytes")

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        if not line:
            self._dispatch(events)
        elif line.startswith(b":"):
            self.comments += 1
        else:
            name, _, value = line.partition(b":")
            self._field(name, value.removeprefix(b" "))

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append(SseEvent(b"\n".join(self._data), self._event, self.last_id))
            self._data.clear()
        elif self._junk and not self._event:
            events.append(SseEvent(JUNK))
        self._event = b""
        self._junk = False
        self._size = 0

    def _field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data.append(value)
            self._grow(len(value) + 1)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self.last_id = value
        elif name == b"retry":
            if value.isdigit() and len(value) <= RETRY_DIGITS:
                self.retry = int(value)
        else:
            self._junk = self._strict

    def _partial_field(self) -> bool:
        return bool(self._partial) and not self._partial[0].startswith(b":")


def _are_lines_of_data(data: bytes, events: int) -> bool:
    """Whether each of the ``events`` in ``data`` is one line, ``data: …``, and its empty line."""
    return (
        data.startswith(b"data: ")
        and data.count(b"\n") == 2 * events
        and data.count(b"\n\ndata: ") == events - 1
    )


def encode(data: bytes, event: bytes = b"", id: bytes = b"", retry: int | None = None) -> bytes:  # noqa: A002 -- the field's name
    """One event as bytes; every line end in ``data`` starts another ``data`` line.

    Raises:
        ValueError: ``event`` or ``id`` holds a line end, or ``id`` a NUL.
    """
    if b"\n" in data or b"\r" in data:
        data = _unify(data).replace(b"\n", b"\ndata: ")
    text = b"data: %b\n\n" % data
    return _fields(event, id, retry) + text if event or id or retry is not None else text


def _fields(event: bytes, last_id: bytes, retry: int | None) -> bytes:
    for text in (event, last_id):
        if b"\n" in text or b"\r" in text:
            raise ValueError("an event's type and id are single lines")
    if b"\0" in last_id:
        raise ValueError("an event's id holds no NUL")
    fields = b"event: %b\n" % event if event else b""
    if last_id:
        fields += b"id: %b\n" % last_id
    if retry is not None:
        fields += b"retry: %d\n" % retry
    return fields


def _unify(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
