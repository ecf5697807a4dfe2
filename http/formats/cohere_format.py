"""Cohere's chat v2, the client's side.

Source: the types of the official SDK (``cohere.v2.types.V2ChatStreamResponse``), which knows
events by the ``type`` in their data, and ends where the stream does.

An answer is ``message-start``; of each part of content ``content-start``, its deltas,
``content-end``; of each call ``tool-call-start``, its deltas, ``tool-call-end``; and
``message-end`` with the reason for the end and the usage. An answer that failed ends with a
``message-end`` too, whose reason is ``ERROR``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import TEXT, Choice, Chunk, Event
from sluice.actors.formats.reading import malformed
from sluice.actors.formats.sse import SseEvent
from sluice.http.errors import cohere_body, cohere_frame

from .cohere_message import as_response, finish_reason_of, response_id, tool_call_of, usage_of
from .completion import CallPiece, OpenCall, Usage, calls_in, text_in, usage_in

_encode: Final = msgspec.json.Encoder().encode
_CALL: Final = "tool_call"
_MESSAGE: Final[dict[str, Any]] = {
    "role": "assistant",
    "content": [],
    "tool_plan": "",
    "tool_calls": [],
    "citations": [],
}


class _Kind(msgspec.Struct):
    type: str | None = None


class _Content(msgspec.Struct):
    content: _Kind = msgspec.field(default_factory=_Kind)


class _Delta(msgspec.Struct):
    message: _Content = msgspec.field(default_factory=_Content)


class _Started(msgspec.Struct):
    """What is read of an event that starts a part of content, or a call."""

    index: int
    delta: _Delta = msgspec.field(default_factory=_Delta)


_started: Final = msgspec.json.Decoder(_Started)


class CohereClient:
    """One answer as events of Cohere's. Of one stream: it remembers the part that is open."""

    name = "cohere"
    reads_text = False

    def __init__(self) -> None:
        self._has_started = False
        self._open: str | None = None
        """The kind of the part that is open, which is the last one of its kind."""
        self._parts = 0
        """How many of content have been started."""
        self._calls = 0
        """Likewise of calls."""
        self._call = OpenCall()
        self._is_bare = False
        """The call that is open has said no arguments: they are ``{}`` then."""
        self._reason = "COMPLETE"
        self._usage = Usage()

    def anew(self) -> CohereClient:
        """One that has started nothing."""
        return CohereClient()

    def preamble(self) -> bytes:
        """Nothing."""
        return b""

    # -- from a provider that speaks this format -------------------------------------------

    def render(self, said: SseEvent, chunk: Chunk) -> SseEvent:
        """The provider's event as it is."""
        del chunk
        if said.event not in {b"content-delta", b"tool-call-delta"}:
            self._note(said)
        return said

    def _note(self, said: SseEvent) -> None:
        """Remember where in the answer we are: another provider may have to go on with it."""
        self._has_started = True
        if said.event == b"content-start":
            started = _read_start(said.data)
            self._parts, self._open = started.index + 1, started.delta.message.content.type
        elif said.event == b"tool-call-start":
            self._calls, self._open = _read_start(said.data).index + 1, _CALL
        elif said.event in {b"content-end", b"tool-call-end"}:
            self._open = None

    # -- from OpenAI's words ---------------------------------------------------------------

    def compose(self, said: object, chunk: Chunk) -> Sequence[Event]:
        """The events that say what ``chunk`` says. Raises a 502 `Failure`."""
        del said
        events: list[Event] = []
        for choice in chunk.choices[:1]:
            self._start_message(events)
            self._say(choice, events)
        if isinstance(chunk.usage, dict):
            self._usage = usage_in(chunk.usage)
        return events

    def text_form(self) -> Event | None:
        """A delta of the part of text that is open."""
        if self._open != "text":
            return None
        return Event(_TEXT % (self._parts - 1, TEXT), b"content-delta")

    def _say(self, choice: Choice, events: list[Event]) -> None:
        delta = choice.delta
        if thought := delta.reasoning_content or delta.reasoning:
            self._add("thinking", thought, events)
        if delta.content:
            self._add("text", delta.content, events)
        if delta.refusal:
            self._add("text", delta.refusal, events)
        for piece in calls_in(delta.tool_calls):
            self._say_call(piece, events)
        if choice.finish_reason:  # some who speak like OpenAI say an empty one until the end
            self._stop_part(events)
            self._reason = finish_reason_of(choice.finish_reason, called=self._calls > 0)

    def _add(self, kind: str, value: object, events: list[Event]) -> None:
        """More of a part of ``kind``, which is started unless it is the one that is open."""
        text = text_in(value)
        if self._open != kind:
            self._call.close()
            self._stop_part(events)
            self._start_content(kind, events)
        events.append(_content_delta(self._parts - 1, kind, text))

    def _start_content(self, kind: str, events: list[Event]) -> None:
        delta = {"message": {"content": {"type": kind, kind: ""}}}
        events.append(_event("content-start", index=self._parts, delta=delta))
        self._open = kind
        self._parts += 1

    def _say_call(self, piece: CallPiece, events: list[Event]) -> None:
        if self._call.begins_with(piece):
            self._stop_part(events)
            delta = {"message": {"tool_calls": tool_call_of(piece, "")}}
            events.append(_event("tool-call-start", index=self._calls, delta=delta))
            self._open = _CALL
            self._calls += 1
            self._is_bare = True
        if piece.function.arguments:
            self._is_bare = False
            self._add_arguments(piece.function.arguments, events)

    def _add_arguments(self, arguments: str, events: list[Event]) -> None:
        delta = {"message": {"tool_calls": {"function": {"arguments": arguments}}}}
        events.append(_event("tool-call-delta", index=self._calls - 1, delta=delta))

    def _stop_part(self, events: list[Event]) -> None:
        if self._open == _CALL:
            if self._is_bare:
                self._add_arguments("{}", events)
            events.append(_event("tool-call-end", index=self._calls - 1))
        elif self._open is not None:
            events.append(_event("content-end", index=self._parts - 1))
        self._open = None

    def _start_message(self, events: list[Event]) -> None:
        if not self._has_started:
            self._has_started = True
            events.append(_event("message-start", id=response_id(), delta={"message": _MESSAGE}))

    def end(self) -> Sequence[Event]:
        """``message-end``, with the reason for the end and the usage."""
        events: list[Event] = []
        self._start_message(events)
        self._stop_part(events)
        delta = {"finish_reason": self._reason, "usage": usage_of(self._usage)}
        return [*events, _event("message-end", delta=delta)]

    # -- the rest --------------------------------------------------------------------------

    def failure_event(self, failure: Failure) -> Event:
        """``message-end`` with the reason ``ERROR``, and what happened."""
        return Event(cohere_frame(failure), b"message-end")

    def whole(self, body: bytes) -> bytes:
        """The response. Raises a 502 `Failure`."""
        return as_response(body)

    def failure_body(self, failure: Failure) -> bytes:
        """``{"message": ...}``."""
        return cohere_body(failure)


def _content_delta(index: int, kind: str, text: str) -> Event:
    form = _TEXT if kind == "text" else _THINKING
    return Event(form % (index, _encode(text)), b"content-delta")


def _delta(kind: bytes) -> bytes:
    """A delta's JSON; the part's index and the text's JSON are to be put in."""
    head = b'{"type":"content-delta","index":%d,"delta":{"message":{"content":{'
    return head + b'"%b":%%b}}}}' % kind


_TEXT: Final = _delta(b"text")
_THINKING: Final = _delta(b"thinking")


def _event(kind: str, **fields: Any) -> Event:
    return Event(_encode({"type": kind, **fields}), kind.encode())


def _read_start(data: bytes) -> _Started:
    try:
        return _started.decode(data)
    except msgspec.MsgspecError as error:
        raise malformed("answer", "streaming") from error
