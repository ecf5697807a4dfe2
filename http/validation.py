"""What a request may say: types of the fields we know, and the body a provider gets for it.

Only types are checked (and that what must be there is): whether a temperature of 7 makes sense
is the provider's to say. Fields we do not know are not looked at, and reach the provider byte
for byte. A field that is given twice counts, for us and for the provider, as its last value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal, Protocol, TypeVar

import msgspec

from sluice.actors.formats.requests import translated
from sluice.actors.settings import MAX_TOKENS

from .going_on import is_free_text, is_one_answer, with_answer
from .json_body import check_depth, check_text, decode, invalid

Raw = msgspec.Raw
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


class StreamRequest(Options, kw_only=True):
    """The body of ``POST /stream``: ``prompt`` or ``messages``, and OpenAI's other fields."""

    prompt: str | None = None
    messages: list[Message] | None = None


Fields = dict[str, Raw]
"""An object's fields as they came, in their order."""


class Conversation(Protocol):
    """What every request for a completion says, in whatever format."""

    @property
    def model(self) -> str:
        """As the client calls it."""

    @property
    def messages(self) -> Sequence[object]:
        """What was said so far."""


T = TypeVar("T")

_chat: Final = msgspec.json.Decoder(ChatRequest)
_stream: Final = msgspec.json.Decoder(StreamRequest)
_fields: Final = msgspec.json.Decoder(Fields)
_stream_options: Final = msgspec.json.Decoder(dict[str, Raw] | None)
_encode: Final = msgspec.json.Encoder().encode
_TRUE: Final = Raw(b"true")
_ONLY_USAGE: Final = Raw(b'{"include_usage":true}')


def read_request(
    body: bytes, depth: int, decoder: msgspec.json.Decoder[T], check: Callable[[T], None]
) -> tuple[T, Fields]:
    """The request in ``body`` as ``decoder``'s type, and its fields. Raises a 400 `Failure`.

    ``depth`` bounds how deep its arrays and objects may nest; ``check`` raises for what types
    cannot say.
    """
    check_text(body)
    check_depth(body, depth)
    request = decode(body, decoder)
    check(request)
    return request, _fields.decode(body)


def read_chat(body: bytes, depth: int) -> tuple[ChatRequest, Fields]:
    """`read_request`, of OpenAI's."""
    return read_request(body, depth, _chat, check_conversation)


def read_stream(body: bytes, depth: int) -> tuple[StreamRequest, Fields]:
    """Likewise of our own route. Exactly one of ``prompt`` and ``messages`` is there after it."""
    return read_request(body, depth, _stream, check_stream)


def check_conversation(request: Conversation) -> None:
    """Raise a 400 `Failure` if there is no model's name, or no message."""
    _check_model(request.model)
    _check_messages(request.messages)


def check_stream(request: StreamRequest) -> None:
    """Raise a 400 `Failure` for what `read_stream` cannot take, whatever the types say."""
    _check_model(request.model)
    if request.prompt is None and request.messages is None:
        raise invalid("prompt is required (or messages).", code="missing_required_parameter")
    if request.prompt is not None and request.messages is not None:
        raise invalid("Give prompt or messages, not both.", code="invalid_value", param="prompt")
    if request.prompt == "":
        raise invalid("prompt must not be empty.", code="invalid_value", param="prompt")
    if request.messages is not None:
        _check_messages(request.messages)
    if request.stream is False:
        raise invalid("This route always streams.", code="unsupported_value", param="stream")
    if request.n is not None and request.n > 1:
        raise _only_text("n")
    if request.tools:
        raise _only_text("tools")


def _check_model(model: str) -> None:
    if not model:
        raise invalid("model must not be empty.", code="invalid_value", param="model")


def _check_messages(messages: Sequence[object]) -> None:
    if not messages:
        raise invalid("messages must not be empty.", code="empty_array", param="messages")


def _only_text(param: str) -> Exception:
    return invalid(
        f"This route streams the text of one answer; for {param} use /v1/chat/completions.",
        code="unsupported_value",
        param=param,
    )


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


def encoded(value: object) -> Raw:
    """``value`` as JSON, to stand among `Fields`."""
    return Raw(_encode(value))


def as_messages(fields: Fields, prompt: str) -> Fields:
    """``fields`` of our own route in OpenAI's words: ``prompt`` as a message of the user's."""
    messages = encoded([{"role": "user", "content": prompt}])
    rest = {name: raw for name, raw in fields.items() if name not in {"prompt", "messages"}}
    return {**rest, "messages": messages}
