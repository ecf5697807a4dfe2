"""What the relay needs of a wire format: of the provider's side, and of the client's.

Between the two stands `Chunk`, in the words of OpenAI's chat completion chunks, because
that is what most of the field speaks. Both sides are pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from .failures import Failure


class Delta(msgspec.Struct, gc=False):
    """What one choice adds. Fields that we only pass on are not read."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None

    @property
    def says_something(self) -> bool:
        """Whether there is content, reasoning, a refusal or a part of a tool call in it."""
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.refusal
            or self.tool_calls
            or self.function_call
        )


class Choice(msgspec.Struct, gc=False):
    """One of the ``n`` answers."""

    index: int = 0
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = None


ABSENT: Final[list[Choice]] = []
"""The choices of a chunk that says nothing of choices: it is none. Never changed."""


class Chunk(msgspec.Struct, gc=False):
    """One piece of an answer, as far as we read it."""

    choices: list[Choice] = msgspec.field(default_factory=lambda: ABSENT)
    usage: Any = msgspec.UNSET
    """An object; None where the provider wrote ``null``, UNSET where it wrote nothing."""
    error: Any = None

    @property
    def says_something(self) -> bool:
        """Whether the wait for the first content ends with it."""
        return any(choice.finish_reason or choice.delta.says_something for choice in self.choices)


class Event(NamedTuple):
    """One event for a client, without its ``id``, which the relay gives."""

    data: bytes
    name: bytes = b""


class Asked(Protocol):
    """What a client asked for, checked: made into a body for whoever is called."""

    def body_for(self, provider_format: str, upstream_model: str | None) -> bytes:
        """The request to a provider that speaks ``provider_format``, complete.

        ``upstream_model`` is what the provider calls the model; None: what the client did.
        Raises a 400 `Failure` that names what cannot be said in that format.
        """


class ProviderFormat(Protocol):
    """How a provider speaks."""

    @property
    def name(self) -> str:
        """As configured."""

    def read(self, data: bytes) -> Chunk | None:
        """The chunk in ``data``; None: it is the end marker.

        Raises `Failure` for garbage, and for an error told in-band.
        """

    def skim(self, data: bytes) -> Chunk | None:
        """`read`, for who does not need what it says: no deltas, a usage only with its choices."""

    def check_whole(self, body: bytes) -> bytes:
        """``body``, a whole answer, or what the client is owed of it. Raises `Failure`."""


class ClientFormat(Protocol):
    """How a client is spoken to."""

    @property
    def name(self) -> str:
        """Of the format."""

    @property
    def reads_text(self) -> bool:
        """Whether `render` needs what a chunk says; False: skimmed chunks will do."""

    def preamble(self) -> bytes:
        """SSE text before the first event; empty in most formats."""

    def render(self, data: bytes, chunk: Chunk) -> bytes | Sequence[Event]:
        """The events that a provider's chunk makes: none, one or more.

        Bytes are the data of one unnamed event: what most chunks make, and the cheapest to say.
        """

    def end(self) -> Sequence[Event]:
        """The end marker of an answer that is whole."""

    def failure_event(self, failure: Failure) -> Event:
        """An error after the first byte. No end marker follows it."""

    def whole(self, body: bytes) -> bytes:
        """The body of a whole answer, made from the provider's."""

    def failure_body(self, failure: Failure) -> bytes:
        """The JSON body of an error before the first byte."""
