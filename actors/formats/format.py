"""What the relay needs of a wire format: of the provider's side, and of the client's.

Between the two stands `Chunk`, in the words of OpenAI's chat completion chunks, because
that is what most of the field speaks. Both sides are pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import msgspec

from sluice.actors.failures import Failure

from .sse import SseEvent


class Delta(msgspec.Struct, gc=False, omit_defaults=True):
    """What one choice adds. Fields that we only pass on are not read."""

    role: Any = None
    content: Any = None
    reasoning_content: Any = None
    reasoning_signature: Any = None
    """What proves a thinking block to Anthropic: not OpenAI's, and not said by itself."""
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    @property
    def says_something(self) -> bool:
        """Whether there is content, also spoken, reasoning, a refusal or a part of a call in it."""
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.refusal
            or self.tool_calls
            or self.function_call
            or self.audio
        )


class Choice(msgspec.Struct, gc=False):
    """One of the ``n`` answers; as OpenAI writes it, its reason is there, null until the last."""

    index: int = 0
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = None


ABSENT: Final[list[Choice]] = []
"""The choices of a chunk that says nothing of choices: it is none. Never changed."""


_NO_REST: Final = (None,) * 8


class Chunk(msgspec.Struct, gc=False):
    """One piece of an answer, as far as we read it."""

    ends: ClassVar[bool] = False
    """Whether it is the end marker too."""

    choices: list[Choice] = msgspec.field(default_factory=lambda: ABSENT)
    usage: Any = msgspec.UNSET
    """An object; None where the provider wrote ``null``, UNSET where it wrote nothing."""
    error: Any = None

    @property
    def says_something(self) -> bool:
        """Whether the wait for the first content ends with it."""
        return any(choice.finish_reason or choice.delta.says_something for choice in self.choices)

    @property
    def text_alone(self) -> str:
        """The text that it adds to an answer, if it says nothing else, as most do: else empty."""
        if len(self.choices) != 1:
            return ""
        choice = self.choices[0]
        delta = choice.delta
        text = delta.content
        if not isinstance(text, str) or not (self.usage is None or self.usage is msgspec.UNSET):
            return ""
        rest = (
            choice.finish_reason,
            delta.reasoning_content,
            delta.reasoning_signature,
            delta.reasoning,
            delta.refusal,
            delta.tool_calls,
            delta.function_call,
            delta.audio,
        )
        return text if rest == _NO_REST else ""


class LastChunk(Chunk, gc=False):
    """What a format says at the end whose end marker is an event like the others."""

    ends: ClassVar[bool] = True


TEXT: Final = b"\0"
"""Where a text's JSON is to be put in a `ClientFormat.text_form`: no JSON has this byte."""


class Event(NamedTuple):
    """One event for a client, without its ``id``, which the relay gives."""

    data: bytes
    name: bytes = b""


class Asked(Protocol):
    """What a client asked for, checked: made into a body for whoever is called."""

    def body_for(
        self, provider_format: str, upstream_model: str | None, *, max_tokens: int
    ) -> bytes:
        """The request to a provider that speaks ``provider_format``, complete.

        ``upstream_model`` is what the provider calls the model; None: what the client did.
        ``max_tokens`` bounds the answer where the format needs a bound and the client says none.
        Raises a 400 `Failure` that names what cannot be said in that format.
        """

    @property
    def has_one_answer(self) -> bool:
        """Whether it is one answer, whose reason for the end says that all of it was said."""

    @property
    def has_no_form(self) -> bool:
        """Whether the answer is free text, of which another model may write the rest."""

    def continued(self, text: str) -> Asked:
        """The same, with ``text`` as the beginning of the answer (not empty, no blank at its end).

        Only if it `has_no_form`.
        """


class Reader(Protocol):
    """Reads the events of one stream, of which it may remember what it needs.

    An event (``said``) is its data, in bytes; where events are named, an `SseEvent`.
    """

    def read(self, said: Any) -> Chunk | None:
        """The chunk in an event; None: it is an end marker that says nothing else.

        Raises `Failure` for garbage, and for an error told in-band.
        """

    def follows(self, said: Any) -> bool | None:
        """Whether ``said``, to be read next, may come after what was, and a piece of text.

        False: something was between that must not be missing, or a tool call is under way, whose
        pieces must not either. None: that is for the next event to say.
        """

    def usage_begun(self) -> dict[str, Any] | None:
        """The usage that was told of an answer as it began, and is in no chunk; None: none was.

        It is a part of what is told at the end, and all that is known of an answer without one.
        """

    def skim(self, said: Any) -> Chunk | None:
        """`read`, for who does not need what it says: no deltas, a usage only with its choices."""

    def text_alone(self, said: Any) -> str:
        """The text in an event that has nothing else to say in another format; else empty.

        What it is then, be it garbage, is for `read`. To find that out costs more than to
        `read`: ask where text is likely.
        """


class ProviderFormat(Protocol):
    """How a provider speaks."""

    @property
    def name(self) -> str:
        """As configured."""

    @property
    def named(self) -> bool:
        """Whether its events have names."""

    def reader(self) -> Reader:
        """What reads the events of one stream."""

    def check_whole(self, body: bytes) -> bytes:
        """``body``, a whole answer, as it is for clients of this format. Raises `Failure`."""

    def as_completion(self, body: bytes) -> bytes:
        """``body``, a whole answer, as OpenAI's ``chat.completion``. Raises `Failure`."""


class ClientFormat(Protocol):
    """How a client is spoken to: of one stream, of which it may remember what it needs."""

    @property
    def name(self) -> str:
        """Of the format."""

    @property
    def reads_text(self) -> bool:
        """Whether `render` needs what a chunk says; False: skimmed chunks will do."""

    def anew(self) -> ClientFormat:
        """One that has said nothing: for another answer to the same client, in place of this."""

    def preamble(self) -> bytes:
        """SSE text before the first event; empty in most formats."""

    def render(self, said: Any, chunk: Chunk) -> bytes | SseEvent | Sequence[Event]:
        """The events that a chunk makes of a provider who speaks this format: none, one or more.

        ``said`` is the event as the provider sent it. Bytes are the data of one unnamed event:
        what most chunks make, and the cheapest to say. An `SseEvent` keeps its name and gets
        our id; the one that ends the answer is its end marker, and `end` is not asked for.
        """

    def compose(self, said: Any, chunk: Chunk) -> bytes | SseEvent | Sequence[Event]:
        """The events that a chunk makes of a provider who speaks another format: as `render`.

        ``said`` is not looked at: it is there so that a flow chooses between the two once.
        """

    def text_form(self) -> Event | None:
        """What `compose` would make of a chunk that is text alone, with `TEXT` for its JSON.

        Holds until something else is composed. None: that would not be one event, always.
        """

    def end(self) -> Sequence[Event]:
        """The end marker of an answer that is whole."""

    def failure_event(self, failure: Failure) -> Event:
        """An error after the first byte. No end marker follows it."""

    def whole(self, body: bytes) -> bytes:
        """The body of a whole answer, made from OpenAI's ``chat.completion``.

        Not asked for where the provider speaks this format: then its body is the client's.
        """

    def failure_body(self, failure: Failure) -> bytes:
        """The JSON body of an error before the first byte."""
