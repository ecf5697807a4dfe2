"""OpenAI chat completions, the provider's side: reading chunks, whole answers and errors.

Source: the types of the official SDK (``openai.types.chat.ChatCompletionChunk``).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.providers.upstream_failures import in_band

from .alone import only, single
from .format import ABSENT, Choice, Chunk, Delta
from .provider_errors import told_in
from .reading import WRONG, check_utf8, malformed, read_answer, without_halves


class WholeAnswer(msgspec.Struct):
    """What makes a JSON object a chat completion."""

    choices: list[msgspec.Raw]


class _Unread(msgspec.Struct, gc=False):
    """A JSON object of which no field is kept."""


class _UnreadChoice(msgspec.Struct, gc=False):
    """A choice of which no more is known than that it is one."""

    delta: _Unread | None = None


class _Skimmed(msgspec.Struct, gc=False):
    """A chunk, without what it says."""

    choices: list[_UnreadChoice]
    usage: Any = msgspec.UNSET
    error: Any = None


_DONE: Final = b"[DONE]"
_CALLS: Final = re.compile(rb'"(tool_calls|function_call)"\s*+:\s*+[\[{]\s*+["{]')
"""How a piece of a call begins. Within a string its quotes would be escaped, so it is no text."""
_PLAIN: Final = Chunk()
_NULL_USAGE: Final = Chunk(usage=None)

_chunk = msgspec.json.Decoder(Chunk)
_skimmed = msgspec.json.Decoder(_Skimmed)
_text = msgspec.json.Decoder(
    only(
        Chunk,
        choices=single(only(Choice, "index", delta=only(Delta, "role", content=str))),
    )
)
_whole = msgspec.json.Decoder(WholeAnswer)


class OpenAIProvider:
    """Speaks with everything that calls itself OpenAI-compatible."""

    name: Final = "openai"
    named: Final = False

    def reader(self) -> OpenAIProvider:
        """Itself: there is nothing to remember."""
        return self

    def follows(self, said: bytes) -> bool | None:
        """Unless it has a piece of a call, or ends an answer that has one."""
        chunk = self.read(said)
        if chunk is None or not chunk.choices:  # the reason for the end may have been before it
            return None
        return not any(
            choice.delta.tool_calls
            or choice.delta.function_call
            or choice.finish_reason in {"tool_calls", "function_call"}
            for choice in chunk.choices
        )

    def usage_begun(self) -> None:
        """Nothing: a usage is in chunks."""

    def read(self, said: bytes) -> Chunk | None:
        """The chunk in ``said``; None for ``[DONE]``, with or without blanks around it."""
        if said == _DONE:
            return None
        try:
            if not said.isascii():
                check_utf8(said)
            chunk = _chunk.decode(said)
        except WRONG as error:
            whole = without_halves(said)
            if whole != said:
                return self.read(whole)
            _check_end(said, error)
            return None
        if chunk.error is not None:
            raise _error_in(said)
        if chunk.choices is ABSENT:
            raise malformed("chunk", "streaming")
        return chunk

    def skim(self, said: bytes) -> Chunk | None:
        """`read` at half its cost."""
        if said == _DONE:
            return None
        try:
            if not said.isascii():
                check_utf8(said)
            skimmed = _skimmed.decode(said)
        except WRONG:
            whole = without_halves(said)
            if whole != said:
                return self.skim(whole)
            return self.read(said)  # an end marker with blanks, an error told in-band, or garbage
        if skimmed.error is not None:
            raise _error_in(said)
        if skimmed.usage is msgspec.UNSET:
            return _PLAIN
        return _NULL_USAGE if skimmed.usage is None else self.read(said)

    def text_alone(self, said: bytes) -> str:
        """The text in a chunk that says nothing else, of whichever answer; else empty."""
        try:
            if not said.isascii():
                check_utf8(said)
            text: str = _text.decode(said).choices[0].delta.content
        except WRONG:
            return ""
        return text

    def check_whole(self, body: bytes) -> bytes:
        """``body``, if it is a chat completion."""
        read_answer(body, _whole)
        return body

    def as_completion(self, body: bytes) -> bytes:
        """The same: OpenAI's words are what all translate to."""
        return without_halves(self.check_whole(body))


def _check_end(data: bytes, error: Exception) -> None:
    """What is no JSON must be the end marker."""
    if data.strip() != _DONE:
        raise malformed("answer" if _CALLS.search(data) else "chunk", "streaming") from error


def _error_in(said: bytes) -> Failure:
    return in_band(told_in(said, "openai"))
