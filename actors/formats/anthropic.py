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
from .reading import WRONG, check_utf8, event_type, pass_over, read_answer, type_of, without_halves
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


class _Kind(msgspec.Struct, gc=False):
    """A block of which only the kind is of interest."""

    type: str


class _BegunBlock(msgspec.Struct, gc=False):
    """An event that begins a block."""

    content_block: _Kind


class _Block(_Kind, gc=False):
    """A block of content, whole or as it begins."""

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
_begun_block: Final = msgspec.json.Decoder(_BegunBlock)
_READ: Final = frozenset({
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "error",
})  # fmt: skip
_NEEDED: Final = frozenset({
    b"message_start", b"content_block_start", b"content_block_stop", b"message_delta",
    b"message_stop",
})  # fmt: skip
"""Events without which a stream is none: all but the pieces of its blocks."""


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

    __slots__ = ("_calls", "_finished", "_is_closing", "_open", "_usage")

    def __init__(self) -> None:
        self._usage: _Usage | None = None
        """What the message began with."""
        self._calls = Calls()
        self._open: str | None = None
        """The kind of the block that has begun, and not ended."""
        self._is_closing = False
        """All blocks have ended."""
        self._finished = False

    def read(self, event: SseEvent) -> Chunk:
        """The chunk in ``event``, which may say nothing."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            found = _event.decode(data)
        except WRONG as error:
            whole = without_halves(data)
            if whole != data:
                return self.read(SseEvent(whole, event.event))
            return self._unread(event, error)
        delta = found.delta
        if found.type == "content_block_delta" and delta is not None:
            return said(Delta(content=delta.text)) if delta.text else self._delta(delta)
        if found.type == "error" or event.event == b"error":
            raise in_band(told_in(data, "anthropic"))
        self._go_on(found.type, data)
        return self._other(found)

    def skim(self, event: SseEvent) -> Chunk:
        """`read`, as far as a client needs it that gets the event itself: the end, an error."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            found = event_type.decode(data)
        except WRONG:
            whole = without_halves(data)
            return self.skim(SseEvent(whole, event.event)) if whole != data else self.read(event)
        if found.type == "message_stop":
            return LastChunk()
        if found.type == "error" or event.event == b"error":
            return self.read(event)
        if found.type != "content_block_delta":
            self._go_on(found.type, data)
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

    def follows(self, said: SseEvent) -> bool | None:
        """By its type, and the block that is open."""
        match type_of(said.data):
            case "content_block_start" | "message_delta":
                return self._open is None
            case "content_block_delta" | "content_block_stop":
                return self._open is not None and not self._in_call
            case "message_stop":
                return self._is_closing
        return None

    def _go_on(self, kind: str, data: bytes) -> None:
        """Take note of an event that was read."""
        if kind == "content_block_start":
            self._open = _kind_of(data)
        elif kind == "content_block_stop":
            self._open = None
        elif kind == "message_delta":
            self._is_closing = True

    @property
    def _in_call(self) -> bool:
        """Be it of a tool of the provider's own."""
        return self._open is not None and self._open.endswith("tool_use")

    def usage_begun(self) -> dict[str, Any] | None:
        """That of ``message_start``: all of the prompt, and the first words of the answer."""
        return None if self._usage is None else _in_openais_words(self._usage)

    def _unread(self, event: SseEvent, error: Exception) -> Chunk:
        """An event that is not as we know it: of a type that we do not read, or garbage."""
        if event.event == b"error":
            raise in_band() from error
        needed = self._in_call or event.event in _NEEDED
        pass_over(event.data, _READ, error, needed=needed)
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


def _kind_of(data: bytes) -> str:
    """Of the block that an event begins; empty: it does not say."""
    try:
        return _begun_block.decode(data).content_block.type
    except WRONG:
        return ""


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
