"""Anthropic's messages, the client's side.

Source: the types of the official SDK (``anthropic.types.RawMessageStreamEvent``), and what its
stream decoder does with them (``anthropic._streaming``): events are known by their name, the
stream ends with ``message_stop``, and ``error`` raises.

An answer is ``message_start``; of each block of content, one after the other,
``content_block_start``, its deltas, ``content_block_stop``; then ``message_delta`` with the
reason for the end and the usage, and ``message_stop``. OpenAI tells the usage last, so that the
one in ``message_start`` is zero, and all of it stands in ``message_delta``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.format import TEXT, Choice, Chunk, Event
from sluice.actors.formats.reading import malformed
from sluice.actors.formats.sse import SseEvent
from sluice.http.errors import anthropic_body, anthropic_frame

from .anthropic_message import as_message, message_of, stop_reason_of, tool_use_of, usage_of
from .completion import CallPiece, OpenCall, Usage, calls_in, text_in, usage_in

_encode: Final = msgspec.json.Encoder().encode
_MESSAGE_STOP: Final = Event(b'{"type":"message_stop"}', b"message_stop")

_EMPTY: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
"""How a block of each kind starts."""


class _Kind(msgspec.Struct):
    type: str


class _Started(msgspec.Struct):
    """What is read of an event that starts a block."""

    index: int
    content_block: _Kind


_started: Final = msgspec.json.Decoder(_Started)


class AnthropicClient:
    """One answer as events of Anthropic's. Of one stream: it remembers the block that is open.

    ``model`` is what the client called it.
    """

    name = "anthropic"
    reads_text = False

    def __init__(self, model: str) -> None:
        self._model = model
        self._has_started = False
        self._is_over = False
        """The provider has told the reason for the end."""
        self._blocks = 0
        """How many have been started."""
        self._open: str | None = None
        """The kind of the block that is open, which is the last one."""
        self._call = OpenCall()
        self._has_called = False
        self._reason: str | None = None
        self._usage = Usage()

    def anew(self) -> AnthropicClient:
        """One that has started nothing."""
        return AnthropicClient(self._model)

    def preamble(self) -> bytes:
        """Nothing."""
        return b""

    # -- from a provider that speaks this format -------------------------------------------

    def render(self, said: SseEvent, chunk: Chunk) -> SseEvent:
        """The provider's event as it is."""
        del chunk
        if said.event != b"content_block_delta":
            self._note(said)
        return said

    def _note(self, said: SseEvent) -> None:
        """Remember where in the answer we are: another provider may have to go on with it."""
        if said.event == b"message_start":
            self._has_started = True
        elif said.event == b"content_block_start":
            try:
                started = _started.decode(said.data)
            except msgspec.MsgspecError as error:
                raise malformed("answer", "streaming") from error
            self._blocks = started.index + 1
            self._open = started.content_block.type
        elif said.event == b"content_block_stop":
            self._open = None
        elif said.event == b"message_delta":
            self._is_over = True

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
        """A delta of the block of text that is open."""
        if self._open != "text":
            return None
        return Event(_TEXT % (self._blocks - 1, TEXT), b"content_block_delta")

    def _say(self, choice: Choice, events: list[Event]) -> None:
        delta = choice.delta
        if thought := delta.reasoning_content or delta.reasoning:
            self._add("thinking", _THINKING, thought, events)
        if delta.reasoning_signature:
            self._add("thinking", _SIGNATURE, delta.reasoning_signature, events)
        if delta.content:
            self._add("text", _TEXT, delta.content, events)
        if delta.refusal:
            self._add("text", _TEXT, delta.refusal, events)
            self._reason = "refusal"
        for piece in calls_in(delta.tool_calls):
            self._say_call(piece, events)
        if choice.finish_reason:  # some who speak like OpenAI say an empty one until the end
            self._stop_block(events)
            called = self._has_called
            self._reason = self._reason or stop_reason_of(choice.finish_reason, called=called)

    def _add(self, kind: str, form: bytes, value: object, events: list[Event]) -> None:
        """More of a block of ``kind``, which is started unless it is the one that is open."""
        text = text_in(value)
        if self._open != kind:
            self._call.close()
            self._start_block(kind, _EMPTY[kind], events)
        self._add_delta(form, text, events)

    def _say_call(self, piece: CallPiece, events: list[Event]) -> None:
        if self._call.begins_with(piece):
            self._start_block("tool_use", tool_use_of(piece, {}), events)
            self._has_called = True
        if piece.function.arguments:
            self._add_delta(_INPUT, piece.function.arguments, events)

    def _start_message(self, events: list[Event]) -> None:
        if self._has_started:
            return
        self._has_started = True
        data = {"type": "message_start", "message": message_of(self._model, [], None, Usage())}
        events.append(Event(_encode(data), b"message_start"))

    def _start_block(self, kind: str, block: dict[str, Any], events: list[Event]) -> None:
        self._stop_block(events)
        data = {"type": "content_block_start", "index": self._blocks, "content_block": block}
        events.append(Event(_encode(data), b"content_block_start"))
        self._open = kind
        self._blocks += 1

    def _add_delta(self, form: bytes, text: str, events: list[Event]) -> None:
        events.append(_delta_event(form, self._blocks - 1, text))

    def _stop_block(self, events: list[Event]) -> None:
        if self._open is not None:
            data = b'{"type":"content_block_stop","index":%d}' % (self._blocks - 1)
            events.append(Event(data, b"content_block_stop"))
        self._open = None

    def end(self) -> Sequence[Event]:
        """``message_delta``, with the reason for the end and the usage, and ``message_stop``."""
        if self._is_over:
            return (_MESSAGE_STOP,)
        events: list[Event] = []
        self._start_message(events)
        self._stop_block(events)
        delta = {"stop_reason": self._reason or "end_turn", "stop_sequence": None}
        data = {"type": "message_delta", "delta": delta, "usage": usage_of(self._usage)}
        return [*events, Event(_encode(data), b"message_delta"), _MESSAGE_STOP]

    # -- the rest --------------------------------------------------------------------------

    def failure_event(self, failure: Failure) -> Event:
        """``error``, at which the SDKs raise."""
        return Event(anthropic_frame(failure), b"error")

    def whole(self, body: bytes) -> bytes:
        """A ``message``. Raises a 502 `Failure`."""
        return as_message(body, self._model)

    def failure_body(self, failure: Failure) -> bytes:
        """``{"type": "error", ...}``."""
        return anthropic_body(failure)


def _delta_event(form: bytes, index: int, text: str) -> Event:
    return Event(form % (index, _encode(text)), b"content_block_delta")


def _delta(kind: bytes, field: bytes) -> bytes:
    """A delta's JSON; the block's index and the text's JSON are to be put in."""
    head = b'{"type":"content_block_delta","index":%%d,"delta":{"type":"%b",' % kind
    return head + b'"%b":%%b}}' % field


_TEXT: Final = _delta(b"text_delta", b"text")
_THINKING: Final = _delta(b"thinking_delta", b"thinking")
_SIGNATURE: Final = _delta(b"signature_delta", b"signature")
_INPUT: Final = _delta(b"input_json_delta", b"partial_json")
