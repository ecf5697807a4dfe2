"""Anthropic's messages, the provider's side: reading events, whole answers and errors.

Source: the types of the official SDK (``anthropic.types.RawMessageStreamEvent``, ``Message``).
Not translated, for no request that was translated asks for them: citations, and the blocks of
tools that run at the provider's. A redacted thinking block has no words in another format.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sluice.actors.providers.upstream_failures import in_band

from .completion import (
    NOTHING,
    WholeMessage,
    begun,
    call_begun,
    call_goes_on,
    said,
    usage_of,
)
from .format import Choice, Chunk, Delta, LastChunk
from .openai import check_utf8, malformed
from .provider_errors import told_in
from .sse import SseEvent

STOP_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""In OpenAI's words. A reason that is not here is ``stop``."""


_EMPTY: Final = msgspec.Raw(b"{}")


class _Details(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _Details | None = None


class _Block(msgspec.Struct, gc=False):
    """A block of content, whole or as it begins."""

    type: str
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    input: msgspec.Raw = _EMPTY


class _Delta(msgspec.Struct, gc=False):
    """What a block gets, or (with ``stop_reason``) the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class _Begun(msgspec.Struct, gc=False):
    """The message as it begins."""

    usage: _Usage | None = None


class _Event(msgspec.Struct, gc=False):
    """An event of any type. A flat type is read as fast as a tagged union of several."""

    type: str
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Begun | None = None
    usage: _Usage | None = None


class _Type(msgspec.Struct, gc=False):
    type: str


class _Passed(msgspec.Struct):
    """What makes a JSON object a message."""

    content: list[msgspec.Raw]


class _Message(msgspec.Struct):
    """A whole answer."""

    id: str
    content: list[_Block]
    model: str
    stop_reason: str | None = None
    usage: _Usage | None = None


_event: Final = msgspec.json.Decoder(_Event)
_type: Final = msgspec.json.Decoder(_Type)
_passed: Final = msgspec.json.Decoder(_Passed)
_message: Final = msgspec.json.Decoder(_Message)
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_READ: Final = frozenset({
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "error",
})  # fmt: skip


class AnthropicProvider:
    """Speaks with Anthropic and with those who offer the same ``/v1/messages``."""

    name: Final = "anthropic"
    named: Final = True

    def reader(self) -> AnthropicReader:
        """One that remembers the stream's usage and its tool calls."""
        return AnthropicReader()

    def check_whole(self, body: bytes) -> bytes:
        """``body``, if it is a message."""
        try:
            _passed.decode(body)
        except _WRONG as error:
            raise malformed("answer", "provider_call") from error
        return body

    def as_completion(self, body: bytes) -> bytes:
        """The message in OpenAI's words."""
        message = _whole(body)
        gathered = WholeMessage()
        for block in message.content:
            if block.type == "text":
                gathered.text(block.text or "")
            elif block.type == "thinking":
                gathered.reasoning(block.thinking or "", block.signature or "")
            elif block.type == "tool_use":
                gathered.call(block.id or "", block.name or "", _arguments(block.input))
        reason = STOP_REASONS.get(message.stop_reason or "", "stop")
        usage = _in_openais_words(message.usage) if message.usage is not None else None
        return gathered.completion(message.id, message.model, reason, usage)


class AnthropicReader:
    """Reads the events of one stream."""

    __slots__ = ("_arguments", "_call", "_finished", "_usage")

    def __init__(self) -> None:
        self._usage = _Usage()
        self._call = -1
        """The number of the tool call that began last."""
        self._arguments: bool | None = None
        """Whether it has had any; None: the block is none, or has ended."""
        self._finished = False

    def read(self, event: SseEvent) -> Chunk:
        """The chunk in ``event``, which may say nothing."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            found = _event.decode(data)
        except _WRONG as error:
            return _unread(event, error)
        delta = found.delta
        if found.type == "content_block_delta" and delta is not None:
            return said(Delta(content=delta.text)) if delta.text else self._delta(delta)
        if found.type == "error" or event.event == b"error":
            raise in_band(told_in(data, "anthropic"))
        return self._other(found)

    def skim(self, event: SseEvent) -> Chunk:
        """`read`, as far as a client needs it that gets the event itself: the end, an error."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            found = _type.decode(data)
        except _WRONG:
            return self.read(event)
        if found.type == "message_stop":
            return LastChunk()
        if found.type == "error" or event.event == b"error":
            return self.read(event)
        return NOTHING

    def _delta(self, delta: _Delta) -> Chunk:
        if delta.partial_json:
            self._arguments = True
            return call_goes_on(self._call, delta.partial_json)
        if delta.thinking:
            return said(Delta(reasoning_content=delta.thinking))
        if delta.signature:
            return said(Delta(reasoning_signature=delta.signature))
        return NOTHING

    def _other(self, found: _Event) -> Chunk:
        match found.type:
            case "message_start":
                if found.message is not None and found.message.usage is not None:
                    self._usage = found.message.usage
                return begun()
            case "content_block_start" if found.content_block is not None:
                return self._block_begins(found.content_block)
            case "content_block_stop":
                return self._block_ends()
            case "message_delta":
                return self._message_ends(found)
            case "message_stop":
                return LastChunk() if self._finished else LastChunk([Choice(0, Delta(), "stop")])
        return NOTHING

    def _block_begins(self, block: _Block) -> Chunk:
        self._arguments = None
        if block.type == "tool_use":
            self._call += 1
            arguments = _arguments(block.input)
            self._arguments = arguments != "{}"
            said_already = arguments if self._arguments else ""
            return call_begun(self._call, block.id or "", block.name or "", said_already)
        if block.type == "text" and block.text:
            return said(Delta(content=block.text))
        if block.type == "thinking" and block.thinking:
            return said(Delta(reasoning_content=block.thinking))
        return NOTHING

    def _block_ends(self) -> Chunk:
        """A call without arguments has said none: in OpenAI's words they are ``{}``."""
        had, self._arguments = self._arguments, None
        return call_goes_on(self._call, "{}") if had is False else NOTHING

    def _message_ends(self, found: _Event) -> Chunk:
        reason = found.delta.stop_reason if found.delta is not None else None
        choices = []
        if reason is not None:
            self._finished = True
            choices = [Choice(0, Delta(), STOP_REASONS.get(reason, "stop"))]
        if found.usage is None:
            return Chunk(choices)
        return Chunk(choices, _in_openais_words(found.usage, self._usage))


def _unread(event: SseEvent, error: Exception) -> Chunk:
    """An event that is not as we know it: of a type that we do not read, or garbage."""
    if event.event == b"error":
        raise in_band() from error
    try:
        if _type.decode(event.data).type not in _READ:
            event.data.decode()
            return NOTHING
    except _WRONG:
        pass
    raise malformed("chunk", "streaming") from error


def _whole(body: bytes) -> _Message:
    try:
        check_utf8(body)
        return _message.decode(body)
    except _WRONG as error:
        raise malformed("answer", "provider_call") from error


def _arguments(value: msgspec.Raw) -> str:
    """An object, digit by digit; ``{}`` for one that is empty, or is none."""
    written = bytes(value).decode()
    return "{}" if "".join(written.split()) in {"{}", "null"} else written


def _in_openais_words(usage: _Usage, begun_with: _Usage | None = None) -> dict[str, Any]:
    """``usage``, which is cumulative, over what the message began with.

    Anthropic's ``input_tokens`` are those that no cache had to do with; OpenAI's are all.
    """
    first = begun_with or usage
    uncached, read, written, answer = (
        _later(usage.input_tokens, first.input_tokens),
        _later(usage.cache_read_input_tokens, first.cache_read_input_tokens),
        _later(usage.cache_creation_input_tokens, first.cache_creation_input_tokens),
        _later(usage.output_tokens, first.output_tokens),
    )
    details = usage.output_tokens_details
    reasoning = details.thinking_tokens if details is not None else None
    return usage_of(uncached + read + written, answer, read, reasoning)


def _later(now: int | None, before: int | None) -> int:
    return now if now is not None else before or 0
