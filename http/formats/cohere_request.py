"""What a request to ``POST /v2/chat`` may say: types of the fields we know.

Source: ``cohere.v2`` (``V2Client.chat_stream``) and ``cohere.types.ChatMessageV2``. As with
OpenAI's, types are checked, and that what must be there is; what we do not know is not looked
at, and reaches a provider that speaks this format byte for byte. For another one see
`cohere_hub`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sluice.actors.settings import MAX_TOKENS
from sluice.http.going_on import is_free_text, with_answer
from sluice.http.json_body import check_depth, check_text, decode, invalid
from sluice.http.validation import Fields, Raw, Tool, ToolCall, encoded

from .cohere_hub import to_openai
from .translation import body_of

_UNSET = msgspec.UNSET
_Unset = msgspec.UnsetType


class ImageUrl(msgspec.Struct):
    """Where an image is, or what it is (a ``data:`` URL)."""

    url: str


class Part(msgspec.Struct):
    """A part of a message's content: text, an image, thinking, a document."""

    type: str
    text: str | _Unset = _UNSET
    thinking: str | _Unset = _UNSET
    image_url: ImageUrl | _Unset = _UNSET
    document: Raw | _Unset = _UNSET


_NEEDED: Final = {"text", "thinking", "image_url", "document"}
"""The kinds of part that must have a field of the same name."""


class Message(msgspec.Struct):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_plan: str | None = None
    tool_call_id: str | None = None


class Kind(msgspec.Struct):
    """An object of which only the kind is known here."""

    type: str


class ChatRequest(msgspec.Struct, kw_only=True):
    """The body of ``POST /v2/chat``."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    tools: list[Tool] | None = None
    strict_tools: bool | None = None
    tool_choice: str | None = None
    response_format: Kind | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    k: int | None = None
    p: float | None = None
    logprobs: bool | None = None
    thinking: Kind | None = None


_request: Final = msgspec.json.Decoder(ChatRequest)
_fields: Final = msgspec.json.Decoder(Fields)
_encode: Final = msgspec.json.Encoder().encode

_NAMES: Final = {"reasoning_effort": "thinking"}
"""What a field is called here that OpenAI calls otherwise, and that others may refuse."""


def read_cohere(body: bytes, depth: int) -> tuple[ChatRequest, Fields]:
    """The request in ``body`` and its fields. Raises a 400 `Failure`.

    ``depth`` bounds how deep its arrays and objects may nest.
    """
    check_text(body)
    check_depth(body, depth)
    request = decode(body, _request)
    if not request.model:
        raise invalid("model must not be empty.", code="invalid_value", param="model")
    if not request.messages:
        raise invalid("messages must not be empty.", code="empty_array", param="messages")
    for number, message in enumerate(request.messages):
        _check(message, f"messages[{number}]")
    for number, tool in enumerate(request.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise _missing(f"tools[{number}].function")
    return request, _fields.decode(body)


def _check(message: Message, where: str) -> None:
    if isinstance(message.content, list):
        for number, part in enumerate(message.content):
            if part.type in _NEEDED and getattr(part, part.type) is _UNSET:
                raise _missing(f"{where}.content[{number}].{part.type}")
    elif message.content is None and message.role != "assistant":
        raise _missing(f"{where}.content")
    if message.role == "tool" and message.tool_call_id is None:
        raise _missing(f"{where}.tool_call_id")


def _missing(name: str) -> Exception:
    return invalid(f"{name} is required.", code="missing_required_parameter", param=name)


class AskedInCohere(msgspec.Struct, frozen=True):
    """A request in Cohere's words: see `sluice.actors.formats.format.Asked`."""

    fields: Fields

    def body_for(
        self, provider_format: str, upstream_model: str | None, *, max_tokens: int = MAX_TOKENS
    ) -> bytes:
        """What the client said, the model apart; translated for a provider of another format."""
        if provider_format == "cohere":
            fields = self.fields
            if upstream_model is not None:
                fields = {**fields, "model": encoded(upstream_model)}
            return _encode(fields)
        asked = to_openai(self.fields, provider_format)
        return body_of(asked, _NAMES, provider_format, upstream_model, max_tokens)

    @property
    def has_no_form(self) -> bool:
        """Text, without a format."""
        return is_free_text(self.fields)

    def continued(self, text: str) -> AskedInCohere:
        """``text`` as a last message of the assistant's, or at the end of the one that is there."""
        return AskedInCohere(with_answer(self.fields, text))
