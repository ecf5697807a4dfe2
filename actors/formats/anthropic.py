"""Anthropic's messages, the provider's side: reading events, whole answers and errors.

Source: the types of the official SDK (``anthropic.types.RawMessageStreamEvent``, ``Message``).
Not translated, for no request that was translated asks for them: citations, and the blocks of
tools that run at the provider's. A redacted thinking block has no words in another format.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from sluice.actors.providers.upstream_failures import in_band

from .alone import only
from .completion import NOTHING, Calls, WholeMessage, begun, said, usage_of
from .format import Choice, Chunk, Delta, LastChunk
from .provider_errors import told_in
from .reading import WRONG, check_utf8, event_type, pass_over, read_answer
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


class _StopDetails(msgspec.Struct, gc=False):
    """Why the model refused."""

    explanation: str | None = None


class _Delta(msgspec.Struct, gc=False):
    """What a block gets, or (with ``stop_reason``) the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None


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


class _Passed(msgspec.Struct):
    """What makes a JSON object a message."""

    content: list[msgspec.Raw]


class _Message(msgspec.Struct):
    """A whole answer."""

    id: str
    content: list[_Block]
    model: str
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None


_event: Final = msgspec.json.Decoder(_Event)
_text: Final = msgspec.json.Decoder(
    only(_Event, type=Literal["content_block_delta"], delta=only(_Delta, "type", text=str))
)
_passed: Final = msgspec.json.Decoder(_Passed)
_message: Final = msgspec.json.Decoder(_Message)
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
        read_answer(body, _passed)
        return body

    def as_completion(self, body: bytes) -> bytes:
        """The message in OpenAI's words."""
        message = read_answer(body, _message)
        gathered = WholeMessage()
        for block in message.content:
            if block.type == "text":
                gathered.text(block.text or "")
            elif block.type == "thinking":
                gathered.reasoning(block.thinking or "", block.signature or "")
            elif block.type == "tool_use":
                gathered.call(block.id or "", block.name or "", _arguments(block.input))
        gathered.refusal(_refusal(message))
        reason = STOP_REASONS.get(message.stop_reason or "", "stop")
        usage = _in_openais_words(message.usage) if message.usage is not None else None
        return gathered.completion(message.id, message.model, reason, usage)


class AnthropicReader:
    """Reads the events of one stream."""

    __slots__ = ("_calls", "_finished", "_usage")

    def __init__(self) -> None:
        self._usage = _Usage()
        self._calls = Calls()
        self._finished = False

    def read(self, event: SseEvent) -> Chunk:
        """The chunk in ``event``, which may say nothing."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            found = _event.decode(data)
        except WRONG as error:
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
            found = event_type.decode(data)
        except WRONG:
            return self.read(event)
        if found.type == "message_stop":
            return LastChunk()
        if found.type == "error" or event.event == b"error":
            return self.read(event)
        return NOTHING

    def text_alone(self, event: SseEvent) -> str:
        """The text in a delta that has nothing else; else empty."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            text: str = _text.decode(data).delta.text
        except WRONG:
            return ""
        return text

    def _delta(self, delta: _Delta) -> Chunk:
        if delta.partial_json:
            return self._calls.go_on(delta.partial_json)
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
                return self._calls.end()
            case "message_delta":
                return self._message_ends(found)
            case "message_stop":
                return LastChunk() if self._finished else LastChunk([Choice(0, Delta(), "stop")])
        return NOTHING

    def _block_begins(self, block: _Block) -> Chunk:
        if block.type == "tool_use":
            arguments = _arguments(block.input)
            said_already = "" if arguments == "{}" else arguments
            return self._calls.begin(block.id or "", block.name or "", said_already)
        if block.type == "text" and block.text:
            return said(Delta(content=block.text))
        if block.type == "thinking" and block.thinking:
            return said(Delta(reasoning_content=block.thinking))
        return NOTHING

    def _message_ends(self, found: _Event) -> Chunk:
        end = found.delta
        choices = []
        if end is not None and end.stop_reason is not None:
            self._finished = True
            reason = STOP_REASONS.get(end.stop_reason, "stop")
            choices = [Choice(0, Delta(refusal=_refusal(end)), reason)]
        if found.usage is None:
            return Chunk(choices)
        return Chunk(choices, _in_openais_words(found.usage, self._usage))


def _unread(event: SseEvent, error: Exception) -> Chunk:
    """An event that is not as we know it: of a type that we do not read, or garbage."""
    if event.event == b"error":
        raise in_band() from error
    pass_over(event.data, _READ, error)
    return NOTHING


def _arguments(value: msgspec.Raw) -> str:
    """An object, digit by digit; ``{}`` for one that is empty, or is none."""
    written = bytes(value).decode()
    return "{}" if "".join(written.split()) in {"{}", "null"} else written


def _refusal(end: _Delta | _Message) -> str | None:
    """What the model says of why it refused, if it did."""
    return end.stop_details.explanation if end.stop_details is not None else None


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
    return usage_of(uncached + read + written, answer, read, reasoning, written=written)


def _later(now: int | None, before: int | None) -> int:
    return now if now is not None else before or 0
