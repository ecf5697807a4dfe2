"""The short way through a stream that is translated: pieces of text, one after the other. No IO.

Nearly all events say a piece of text and nothing else. Once one has gone the long way (read as
a chunk, composed for the client), the next ones differ from it in their number and their text:
they are told in the form that the client's format gives, until something else is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from sluice.actors.formats.format import Chunk, ClientFormat, Event, Reader
from sluice.actors.formats.sse import SseEvent
from sluice.actors.rescue.doubt import Doubt

from .frames import Frames

_encode: Final = msgspec.json.Encoder().encode


class Texts:
    """Tells text, from a provider of one format to a client of another.

    Args:
        reader: reads the provider's events.
        client_format: what the client gets; it has to be asked by `compose` alone.
        frames: makes the client's events.
    """

    __slots__ = ("_client_format", "_doubt", "_form", "_frames", "_text_alone")

    def __init__(self, reader: Reader, client_format: ClientFormat, frames: Frames) -> None:
        self._text_alone = reader.text_alone
        self._client_format = client_format
        self._frames = frames
        self._doubt: Doubt | None = None
        self._form = b""
        """Of the frame of one more text; empty: what was told last is something else."""

    def __repr__(self) -> str:
        return f"<Texts {'under way' if self._form else 'not under way'}>"

    def compose(self, said: Any, chunk: Chunk) -> bytes | SseEvent | Sequence[Event]:
        """The long way: as the client's format does."""
        made = self._client_format.compose(said, chunk)
        in_doubt = self._doubt is not None and self._doubt.pending is not None
        form = self._client_format.text_form() if chunk.text_alone and not in_doubt else None
        self._form = b"" if form is None else self._frames.form(form)
        return made

    def interrupt(self, doubt: Doubt) -> None:
        """What comes next goes the long way, for as long as ``doubt`` has something pending."""
        self._doubt = doubt
        self._form = b""

    def told(
        self, events: Iterator[Any], out: list[bytes], kept: list[Any] | None
    ) -> Iterator[Any]:
        """Tell into ``out`` those ``events`` that go the short way, and keep them in ``kept``.

        The others are the caller's, one by one: what it makes of one has to be in ``out`` before
        it asks for the next.
        """
        frames, text_alone = self._frames, self._text_alone
        for said in events:
            text = text_alone(said) if (form := self._form) else ""
            if not text:
                yield said
                continue
            if kept is not None:
                kept.append(said)
            frames.chunks += 1
            frames.events += 1
            out.append(form % (frames.events, _encode(text)))
