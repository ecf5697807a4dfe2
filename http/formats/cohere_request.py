"""What a request to ``POST /v2/chat`` may say: types of the fields we know.

Source: ``cohere.v2`` (``V2Client.chat_stream``) and ``cohere.types.ChatMessageV2``. As with
OpenAI's, types are checked, and that what must be there is; what we do not know is not looked
at, and reaches a provider that speaks this format byte for byte. For another one see
`cohere_hub`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sluice.http.json_body import missing
from sluice.http.validation import (
    Fields,
    Raw,
    Tool,
    ToolCall,
    check_conversation,
    read_request,
)

from .cohere_hub import to_openai
from .translation import RequestFormat

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

COHERE_REQUEST: Final = RequestFormat("cohere", to_openai, {
    "reasoning_effort": "thinking",
    "reasoning_content": "content",
})  # fmt: skip
"""How Cohere's requests are told to others."""


def read_cohere(body: bytes, depth: int) -> tuple[ChatRequest, Fields]:
    """`read_request`, of Cohere's."""
    return read_request(body, depth, _request, _check)


def _check(request: ChatRequest) -> None:
    check_conversation(request)
    for number, message in enumerate(request.messages):
        _check_message(message, f"messages[{number}]")
    for number, tool in enumerate(request.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise missing(f"tools[{number}].function")


def _check_message(message: Message, where: str) -> None:
    if isinstance(message.content, list):
        for number, part in enumerate(message.content):
            if part.type in _NEEDED and getattr(part, part.type) is _UNSET:
                raise missing(f"{where}.content[{number}].{part.type}")
    elif message.content is None and message.role != "assistant":
        raise missing(f"{where}.content")
    if message.role == "tool" and message.tool_call_id is None:
        raise missing(f"{where}.tool_call_id")
