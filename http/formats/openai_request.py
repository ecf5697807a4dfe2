"""What a request to ``POST /v1/chat/completions`` may say, and the body a provider gets for it.

Source: ``openai.types.chat.CompletionCreateParams``. Types are checked, and that what must be
there is; what we do not know is not looked at, and reaches a provider that speaks this format
byte for byte. Other formats are told it by `sluice.actors.formats.requests`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from sluice.actors.formats.requests import translated
from sluice.actors.settings import MAX_TOKENS
from sluice.http.going_on import is_free_text, is_one_answer, with_answer
from sluice.http.validation import Fields, Raw, check_conversation, encoded, read_request

Count = Annotated[int, msgspec.Meta(ge=1)]


class ContentPart(msgspec.Struct):
    """A part of a message's content: text, an image, audio, a file."""

    type: str
    text: str | msgspec.UnsetType = msgspec.UNSET


class ToolCallFunction(msgspec.Struct):
    """The function of a `ToolCall`; ``arguments`` are JSON in a string."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    """A call that the model made earlier in the conversation."""

    id: str
    type: str = "function"
    function: ToolCallFunction | None = None


class Message(msgspec.Struct):
    """A message of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class StreamOptions(msgspec.Struct):
    """OpenAI's ``stream_options``, as far as it concerns us."""

    include_usage: bool | None = None


class ToolFunction(msgspec.Struct):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Raw] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    """A tool the model may use."""

    type: str
    function: ToolFunction | None = None


class ResponseFormat(msgspec.Struct):
    """How the answer is to be written."""

    type: str


class Options(msgspec.Struct, kw_only=True):
    """OpenAI's fields of a completion that have a type of their own."""

    model: str
    n: Count | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Raw] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class ChatRequest(Options, kw_only=True):
    """The body of ``POST /v1/chat/completions``."""

    messages: list[Message]


_chat: Final = msgspec.json.Decoder(ChatRequest)
_stream_options: Final = msgspec.json.Decoder(dict[str, Raw] | None)
_encode: Final = msgspec.json.Encoder().encode
_TRUE: Final = Raw(b"true")
_ONLY_USAGE: Final = Raw(b'{"include_usage":true}')


def read_chat(body: bytes, depth: int) -> tuple[ChatRequest, Fields]:
    """`read_request`, of OpenAI's."""
    return read_request(body, depth, _chat, check_conversation)


def for_provider(fields: Fields, model: str | None, *, stream: bool) -> bytes:
    """The body for a provider that speaks OpenAI's format: ``fields``, all but two untouched.

    ``model`` is what the provider calls it (None: what the client did). Of a stream, the usage
    is always asked for, beside what other ``stream_options`` the client gave.
    """
    fields = dict(fields)
    if model is not None:
        fields["model"] = encoded(model)
    if stream:
        fields["stream"] = _TRUE
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    return _encode(fields)


class AskedInOpenAI(msgspec.Struct, frozen=True):
    """A request in OpenAI's words: see `sluice.actors.formats.format.Asked`."""

    fields: Fields
    streamed: bool

    def body_for(
        self, provider_format: str, upstream_model: str | None, *, max_tokens: int = MAX_TOKENS
    ) -> bytes:
        """What the client said, the model and the usage apart; translated where it has to be."""
        if provider_format != "openai":
            return translated(
                self.fields,
                provider_format,
                upstream_model,
                streamed=self.streamed,
                max_tokens=max_tokens,
            )
        return for_provider(self.fields, upstream_model, stream=self.streamed)

    @property
    def has_one_answer(self) -> bool:
        """``n``, if it is said, is 1."""
        return is_one_answer(self.fields)

    @property
    def has_no_form(self) -> bool:
        """Text of one choice, without a format and without log probabilities."""
        return is_free_text(self.fields)

    def continued(self, text: str) -> AskedInOpenAI:
        """``text`` as a last message of the assistant's, or at the end of the one that is there."""
        return AskedInOpenAI(with_answer(self.fields, text), self.streamed)


def _with_usage(options: Raw | None) -> Raw:
    given = _stream_options.decode(options) if options is not None else None
    if not given:
        return _ONLY_USAGE
    given["include_usage"] = _TRUE
    return encoded(given)
