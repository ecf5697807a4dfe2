"""Cohere's chat v2, the provider's side: reading events, whole answers and errors.

Source: the types of the official SDK (``cohere.types``: the ``Chat…Event`` of v2, and
``V2ChatResponse``). Citations have no words in OpenAI's format and are left out of a translated
answer. The plan that precedes tool calls is reasoning.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.providers.upstream_failures import in_band

from .alone import only
from .completion import NOTHING, Calls, WholeMessage, begun, said, usage_of
from .format import Choice, Chunk, Delta, LastChunk
from .provider_errors import told
from .reading import WRONG, check_utf8, event_type, pass_over, read_answer, type_of, without_halves
from .sse import SseEvent

FINISH_REASONS: Final = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
"""In OpenAI's words. A reason that is not here is ``stop``."""

_FAILED: Final = frozenset({"ERROR", "TIMEOUT"})


class _Tokens(msgspec.Struct, gc=False):
    input_tokens: float | None = None
    output_tokens: float | None = None


class _Usage(msgspec.Struct, gc=False):
    tokens: _Tokens | None = None
    billed_units: _Tokens | None = None
    cached_tokens: float | None = None


class _Function(msgspec.Struct, gc=False):
    name: str = ""
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    id: str = ""
    function: _Function | None = None


class _Content(msgspec.Struct, gc=False):
    """A block of content, or a piece of one."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Piece(msgspec.Struct, gc=False):
    """What a streamed message gets."""

    content: _Content | list[_Content] | None = None
    tool_plan: str | None = None
    tool_calls: _Call | list[_Call] | None = None


class _Delta(msgspec.Struct, gc=False):
    message: _Piece | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None
    error: str | None = None


class _Event(msgspec.Struct, gc=False):
    """An event of any type: those that are not known yet are read too."""

    type: str
    delta: _Delta | None = None


class _Passed(msgspec.Struct):
    """What makes a JSON object an answer."""

    finish_reason: str
    message: msgspec.Raw


class _Message(msgspec.Struct):
    content: list[_Content] | None = None
    tool_plan: str | None = None
    tool_calls: list[_Call] | None = None


class _Answer(msgspec.Struct):
    """A whole answer."""

    id: str
    finish_reason: str
    message: _Message
    usage: _Usage | None = None


_TextPiece: Final = only(_Piece, content=only(_Content, "type", text=str))
_event: Final = msgspec.json.Decoder(_Event)
_text: Final = msgspec.json.Decoder(
    only(_Event, type=Literal["content-delta"], delta=only(_Delta, message=_TextPiece))
)
_passed: Final = msgspec.json.Decoder(_Passed)
_answer: Final = msgspec.json.Decoder(_Answer)
_READ: Final = frozenset({
    "message-start", "content-start", "content-delta", "tool-plan-delta", "tool-call-start",
    "tool-call-delta", "tool-call-end", "message-end",
})  # fmt: skip
_CALL_ENDS: Final = "tool-call-end"
_ENDED_BY: Final = {"content-start": "content-end", "tool-call-start": _CALL_ENDS}
_NEEDED: Final = frozenset({
    b"message-start", b"content-start", b"content-end", b"tool-call-start", b"tool-call-delta",
    b"tool-call-end", b"message-end",
})  # fmt: skip
"""Events without which a stream is none: all but the pieces of its text."""


class CohereProvider:
    """Speaks with Cohere's ``/v2/chat``."""

    name: Final = "cohere"
    named: Final = True

    def reader(self) -> CohereReader:
        """One that counts the stream's tool calls."""
        return CohereReader()

    def check_whole(self, body: bytes) -> bytes:
        """``body``, if it is an answer, and none that failed."""
        _check_end(read_answer(body, _passed).finish_reason)
        return body

    def as_completion(self, body: bytes) -> bytes:
        """The answer in OpenAI's words. Cohere does not say which model it is of."""
        answer = read_answer(body, _answer)
        _check_end(answer.finish_reason)
        gathered = WholeMessage()
        if answer.message.tool_plan:
            gathered.reasoning(answer.message.tool_plan)
        for block in answer.message.content or ():
            if block.thinking:
                gathered.reasoning(block.thinking)
            elif block.text is not None:
                gathered.text(block.text)
        for call in answer.message.tool_calls or ():
            function = call.function or _Function()
            gathered.call(call.id, function.name, function.arguments or "{}")
        reason = FINISH_REASONS.get(answer.finish_reason, "stop")
        return gathered.completion(answer.id, None, reason, _in_openais_words(answer.usage))


class CohereReader:
    """Reads the events of one stream."""

    __slots__ = ("_calls", "_open")

    def __init__(self) -> None:
        self._calls = Calls()
        self._open = ""
        """The type of the event that ends what has begun; empty: nothing has."""

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
        if found.type == "content-delta" and delta is not None and delta.message is not None:
            return _content(delta.message.content)
        self._go_on(found.type)
        return self._other(found.type, delta if delta is not None else _Delta())

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
        if found.type == "content-delta":
            return NOTHING
        self._go_on(found.type)
        return self.read(event) if found.type == "message-end" else NOTHING

    def text_alone(self, event: SseEvent) -> str:
        """The text in a delta that has nothing else; else empty."""
        data = event.data
        try:
            if not data.isascii():
                check_utf8(data)
            text: str = _text.decode(data).delta.message.content.text
        except WRONG:
            return ""
        return text

    def _other(self, kind: str, delta: _Delta) -> Chunk:
        if kind == "message-start":
            return begun()
        if kind == "message-end":
            return _ended(delta)
        if kind == "tool-call-end":
            return self._calls.end()
        return self._message(kind, delta.message) if delta.message is not None else NOTHING

    def _message(self, kind: str, message: _Piece) -> Chunk:
        match kind:
            case "content-start":
                return _content(message.content)
            case "tool-plan-delta":
                return _thought(message.tool_plan)
            case "tool-call-start":
                call = _first_call(message)
                function = call.function or _Function()
                return self._calls.begin(call.id, function.name, function.arguments or "")
            case "tool-call-delta":
                function = _first_call(message).function or _Function()
                return self._calls.go_on(function.arguments)
        return NOTHING

    def _unread(self, event: SseEvent, error: Exception) -> Chunk:
        """An event that is not as we know it: of a type that we do not read, or garbage."""
        needed = self._open == _CALL_ENDS or event.event in _NEEDED
        pass_over(event.data, _READ, error, needed=needed)
        return NOTHING

    def follows(self, said: SseEvent) -> bool | None:
        """By its type."""
        match type_of(said.data):
            case "content-start" | "tool-call-start" | "message-end":
                return not self._open
            case "content-delta" | "content-end":
                return self._open == "content-end"
            case "tool-call-delta" | "tool-call-end":
                return False
        return None

    def _go_on(self, kind: str) -> None:
        """Take note of an event that was read."""
        if kind in _ENDED_BY:
            self._open = _ENDED_BY[kind]
        elif kind == self._open:
            self._open = ""

    def usage_begun(self) -> None:
        """Nothing: it is told with the end."""


def _content(content: _Content | list[_Content] | None) -> Chunk:
    if not isinstance(content, _Content):
        return NOTHING
    if content.text:
        return said(Delta(content=content.text))
    return _thought(content.thinking)


def _thought(text: str | None) -> Chunk:
    return said(Delta(reasoning_content=text)) if text else NOTHING


def _first_call(message: _Piece) -> _Call:
    calls = message.tool_calls
    if isinstance(calls, list):
        return calls[0] if calls else _Call()
    return calls if calls is not None else _Call()


def _ended(delta: _Delta) -> Chunk:
    if delta.finish_reason in _FAILED or delta.error:
        raise _failed(delta.error)
    reason = FINISH_REASONS.get(delta.finish_reason or "", "stop")
    usage = _in_openais_words(delta.usage)
    return LastChunk([Choice(0, Delta(), reason)], msgspec.UNSET if usage is None else usage)


def _failed(error: str | None) -> Failure:
    return in_band(told(error) if error else None)


def _check_end(finish_reason: str) -> None:
    """Raise a `Failure` for a whole answer that failed."""
    if finish_reason in _FAILED:
        failure = _failed(None)
        failure.stage = "provider_call"
        raise failure


def _in_openais_words(usage: _Usage | None) -> dict[str, Any] | None:
    """What the model has read and written; what is billed, where only that is told."""
    tokens = (usage.tokens or usage.billed_units) if usage is not None else None
    if usage is None or tokens is None:
        return None
    cached = None if usage.cached_tokens is None else int(usage.cached_tokens)
    return usage_of(int(tokens.input_tokens or 0), int(tokens.output_tokens or 0), cached, None)
