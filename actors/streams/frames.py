"""One stream's events as SSE text: each with the ``id`` that says its place. No IO."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.actors.formats.format import TEXT, Event
from sluice.actors.formats.sse import SseEvent, encode


class Frames:
    """Makes and counts them.

    Args:
        stream_id: the first part of every event's ``id``; its number, from 1, is the second.
    """

    __slots__ = ("chunks", "events", "prefix")

    def __init__(self, stream_id: str) -> None:
        self.prefix = b"id: " + stream_id.encode() + b"-"
        """An event's ``id`` line, up to its number."""
        self.events = 0
        """All that were made."""
        self.chunks = 0
        """Of them, those that are of the answer: no end marker, no error."""

    def __repr__(self) -> str:
        return f"<Frames {self.events} events, {self.chunks} chunks>"

    def go_on_after(self, other: Frames) -> None:
        """The client has had those of ``other``."""
        self.events = other.events
        self.chunks = other.chunks

    def forget(self) -> None:
        """None of them is sent."""
        self.events = self.chunks = 0

    def numbered(self, event: Event) -> bytes:
        """An event with its ``id``; chunks are counted by who knows that it is one."""
        self.events += 1
        if b"\n" not in event.data and b"\r" not in event.data:
            name = b"event: %b\n" % event.name if event.name else b""
            return b"%b%b%d\ndata: %b\n\n" % (name, self.prefix, self.events, event.data)
        return encode(event.data, event=event.name, id=b"%b%d" % (self.prefix[4:], self.events))

    def text_of(self, made: bytes | Sequence[Event]) -> bytes:
        """What a chunk has made: the data of an event without a name, or all its events."""
        events = (Event(made),) if isinstance(made, bytes) else made
        self.chunks += len(events)
        return b"".join([self.numbered(event) for event in events])

    def named(self, event: SseEvent) -> bytes:
        """An event as it is, but for our id."""
        self.chunks += 1
        name, data = event.event, event.data
        if not name or b"\n" in data:
            return self.numbered(Event(data, name))
        self.events += 1
        return b"event: %b\n%b%d\ndata: %b\n\n" % (name, self.prefix, self.events, data)

    def form(self, event: Event) -> bytes:
        """``event``, in whose data a `TEXT` stands, with places for its number and that text."""
        name = b"event: %b\n" % event.name if event.name else b""
        before, after = (part.replace(b"%", b"%%") for part in event.data.split(TEXT))
        return b"%b%b%%d\ndata: %b%%b%b\n\n" % (name, self.prefix, before, after)
