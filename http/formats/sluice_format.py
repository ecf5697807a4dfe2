"""Our own events, for a browser's ``EventSource``: ``/stream``.

Unnamed events (``onmessage``) carry ``{"text": ...}``; named ones are ``usage``, ``done``
(``{"finish_reason": ...}``, the last event of a whole answer) and ``failure``
(``{"error": ...}``, the last event of one that is not).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import TEXT, Chunk, Event
from sluice.http.errors import sluice_body

RETRY: Final = 1000
"""Milliseconds an ``EventSource`` waits before it connects again; browsers choose 3 to 5 s."""

_encode: Final = msgspec.json.Encoder().encode


class SluiceClient:
    """One answer's text, its usage, and how it ended. Of one stream: it remembers the reason."""

    name = "sluice"
    reads_text = True

    def __init__(self) -> None:
        self._finish_reason: str | None = None

    def anew(self) -> SluiceClient:
        """One that has started nothing."""
        return SluiceClient()

    def preamble(self) -> bytes:
        """How soon to reconnect. A field of the first event's block, so no event of its own."""
        return b"retry: %d\n" % RETRY

    def compose(self, said: object, chunk: Chunk) -> Sequence[Event]:
        """The text in ``chunk`` and the usage, if there is any."""
        del said
        events: list[Event] = []
        for choice in chunk.choices[:1]:
            if isinstance(choice.delta.content, str) and choice.delta.content:
                events.append(Event(_encode({"text": choice.delta.content})))
            if choice.finish_reason:  # some who speak like OpenAI say an empty one until the end
                self._finish_reason = choice.finish_reason
        if isinstance(chunk.usage, dict):
            events.append(Event(_encode(chunk.usage), b"usage"))
        return events

    render = compose
    """No provider speaks this format."""

    def text_form(self) -> Event:
        """Of each piece, whatever else is said."""
        return Event(b'{"text":%b}' % TEXT)

    def end(self) -> Sequence[Event]:
        """``done``, with the provider's reason for the end."""
        return (Event(_encode({"finish_reason": self._finish_reason}), b"done"),)

    def failure_event(self, failure: Failure) -> Event:
        """``failure``."""
        return Event(sluice_body(failure), b"failure")

    def whole(self, body: bytes) -> bytes:
        """The provider's answer, unchanged. This route always streams, so it is not used."""
        return body

    def failure_body(self, failure: Failure) -> bytes:
        """``{"error": ...}``."""
        return sluice_body(failure)
