"""OpenAI chat completions, the client's side.

Source: the types of the official SDK (``openai.types.chat.ChatCompletionChunk``), and what its
stream decoder does with them (``openai._streaming``): it ends at ``[DONE]``, and raises for
data with an ``error`` in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats import Chunk, Event

from .errors import openai_body, openai_frame

_END: Final = (Event(b"[DONE]"),)
_NULL_USAGE: Final = b',"usage":null'
"""As it follows another field. Within a string its quotes would be escaped, so it is no text."""
_SPACED: Final = re.compile(rb',\s*+"usage"\s*+:\s*+null')
"""The same as others write it; five times slower to look for."""


class OpenAIClient:
    """Gives a client the provider's chunks as they are.

    ``usage``: whether the client asked for it (``stream_options.include_usage``). The provider
    is always asked; for a client that did not, it is taken out again: the event that has
    nothing else is left out, and the ``null`` that the other events then have too.
    """

    name = "openai"
    reads_text = False

    def __init__(self, *, usage: bool) -> None:
        self._usage = usage

    def preamble(self) -> bytes:
        """Nothing: a lone ``retry`` block would make an SDK dispatch an empty event."""
        return b""

    def render(self, data: bytes, chunk: Chunk) -> bytes | Sequence[Event]:
        """The chunk itself, or nothing if it only tells a usage that was not asked for."""
        if self._usage or chunk.usage is msgspec.UNSET:
            return data
        if chunk.usage is None:
            rest = data.replace(_NULL_USAGE, b"")
            return rest if len(rest) < len(data) else _SPACED.sub(b"", data)
        return data if chunk.choices else ()

    def end(self) -> Sequence[Event]:
        """``[DONE]``."""
        return _END

    def failure_event(self, failure: Failure) -> Event:
        """``{"error": ...}``, at which the SDKs raise."""
        return Event(openai_frame(failure))

    def whole(self, body: bytes) -> bytes:
        """The provider's answer, unchanged."""
        return body

    def failure_body(self, failure: Failure) -> bytes:
        """``{"error": ...}``."""
        return openai_body(failure)
