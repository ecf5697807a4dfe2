"""OpenAI chat completions, the client's side.

Source: the types of the official SDK (``openai.types.chat.ChatCompletionChunk``), and what its
stream decoder does with them (``openai._streaming``): it ends at ``[DONE]``, and raises for
data with an ``error`` in it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from secrets import token_hex
from typing import Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import TEXT, Choice, Chunk, Event
from sluice.http.errors import openai_body, openai_frame

_encode: Final = msgspec.json.Encoder().encode
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_END: Final = (Event(b"[DONE]"),)
_NULL_USAGE: Final = b',"usage":null'
"""As it follows another field. Within a string its quotes would be escaped, so it is no text."""
_SPACED: Final = re.compile(rb',\s*+"usage"\s*+:\s*+null')
"""The same as others write it; five times slower to look for."""


class _Composer:
    """Writes chunks that no provider has written. All of a stream have the same head."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head = b""

    def said(self, choices: Sequence[Choice]) -> bytes:
        """A chunk's JSON, of pieces of answers."""
        return b'%b,"choices":%b}' % (self._head or self._begun(), _encode(choices))

    def text_form(self) -> bytes:
        """The JSON of a chunk that is a piece of text of the first answer, for `TEXT`."""
        head = self._head or self._begun()
        said = b'{"index":0,"delta":{"content":%b},"finish_reason":null}' % TEXT
        return b'%b,"choices":[%b]}' % (head, said)

    def used(self, usage: object) -> bytes:
        """A chunk's JSON, of a usage alone."""
        head = self._head or self._begun()
        return b'%b,"choices":[],"usage":%b}' % (head, _encode(usage))

    def whole(self, body: bytes) -> bytes:
        """``body``, complete."""
        fields = _fields.decode(body)
        fields.setdefault("model", msgspec.Raw(_encode(self._model)))
        fields["created"] = msgspec.Raw(b"%d" % time.time())
        return _encode(fields)

    def _begun(self) -> bytes:
        head = {
            "id": "chatcmpl-" + token_hex(12),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._model,
        }
        self._head = _encode(head)[:-1]
        return self._head


class OpenAIClient:
    """Gives a client the provider's chunks as they are.

    ``model`` is what the client called it: told where another format is translated.
    ``usage``: whether the client asked for it (``stream_options.include_usage``). The provider
    is always asked; for a client that did not, it is taken out again: the event that has
    nothing else is left out, and the ``null`` that the other events then have too.
    """

    name = "openai"
    reads_text = False

    def __init__(self, *, usage: bool, model: str = "") -> None:
        self._usage = usage
        self._composer = _Composer(model)

    def anew(self) -> OpenAIClient:
        """Itself: what it remembers is the same in every answer to its client."""
        return self

    def preamble(self) -> bytes:
        """Nothing: a lone ``retry`` block would make an SDK dispatch an empty event."""
        return b""

    def render(self, said: bytes, chunk: Chunk) -> bytes | Sequence[Event]:
        """The chunk itself, or nothing if it only tells a usage that was not asked for."""
        if self._usage or chunk.usage is msgspec.UNSET:
            return said
        if chunk.usage is None:
            rest = said.replace(_NULL_USAGE, b"")
            return rest if len(rest) < len(said) else _SPACED.sub(b"", said)
        return said if chunk.choices else ()

    def compose(self, said: object, chunk: Chunk) -> bytes | Sequence[Event]:
        """The chunk in OpenAI's words; a usage in an event of its own, if it was asked for."""
        del said
        asked_for = self._usage and isinstance(chunk.usage, dict)
        if chunk.choices:
            made = self._composer.said(chunk.choices)
            if not asked_for:
                return made
            return Event(made), Event(self._composer.used(chunk.usage))
        return self._composer.used(chunk.usage) if asked_for else ()

    def text_form(self) -> Event:
        """A chunk."""
        return Event(self._composer.text_form())

    def end(self) -> Sequence[Event]:
        """``[DONE]``."""
        return _END

    def failure_event(self, failure: Failure) -> Event:
        """``{"error": ...}``, at which the SDKs raise."""
        return Event(openai_frame(failure))

    def whole(self, body: bytes) -> bytes:
        """A translated answer, with what only the client's side knows: its model, and when."""
        return self._composer.whole(body)

    def failure_body(self, failure: Failure) -> bytes:
        """``{"error": ...}``."""
        return openai_body(failure)
