"""What a request to ``POST /v1/messages`` may say: types of the fields we know.

Source: ``anthropic.types.MessageCreateParams``. As with OpenAI's, types are checked, and that
what must be there is; fields and blocks that we do not know are not looked at, and reach a
provider that speaks this format byte for byte. For another one see `anthropic_hub`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sluice.http.json_body import missing
from sluice.http.validation import Fields, Raw, check_conversation, read_request

from .anthropic_hub import to_openai
from .translation import RequestFormat

_UNSET = msgspec.UNSET
_Unset = msgspec.UnsetType


class Block(msgspec.Struct):
    """A part of a message: text, an image, a tool's call or result, thinking."""

    type: str
    text: str | _Unset = _UNSET
    source: Raw | _Unset = _UNSET
    id: str | _Unset = _UNSET
    name: str | _Unset = _UNSET
    input: Raw | _Unset = _UNSET
    tool_use_id: str | _Unset = _UNSET
    thinking: str | _Unset = _UNSET
    signature: str | _Unset = _UNSET
    data: str | _Unset = _UNSET


_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "text": ("text",),
    "image": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
"""What a block of each kind must have."""


class Message(msgspec.Struct):
    """A message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(msgspec.Struct):
    """A tool the model may use: the client's own, or one of the provider's."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Raw] | _Unset = _UNSET


class ToolChoice(msgspec.Struct):
    """Which tool is to be used: a kind of choice, of which one names the tool."""

    type: str
    name: str | None = None


class Thinking(msgspec.Struct):
    """How to think: a kind of it, of which one has a budget in tokens."""

    type: str
    budget_tokens: int | None = None


class Metadata(msgspec.Struct):
    """About the request."""

    user_id: str | None = None


class MessagesRequest(msgspec.Struct, kw_only=True):
    """The body of ``POST /v1/messages``."""

    model: str
    max_tokens: int
    messages: list[Message]
    system: str | list[Block] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None


_request: Final = msgspec.json.Decoder(MessagesRequest)

ANTHROPIC_REQUEST: Final = RequestFormat("anthropic", to_openai, {
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "thinking",
    "response_format": "output_config.format",
    "user": "metadata.user_id",
})  # fmt: skip
"""How Anthropic's requests are told to others."""


def read_messages(body: bytes, depth: int) -> tuple[MessagesRequest, Fields]:
    """`read_request`, of Anthropic's."""
    return read_request(body, depth, _request, _check)


def _check(request: MessagesRequest) -> None:
    check_conversation(request)
    _check_blocks(request)
    _check_tools(request)
    choice, thinking = request.tool_choice, request.thinking
    if choice is not None and choice.type == "tool" and choice.name is None:
        raise missing("tool_choice.name")
    if thinking is not None and thinking.type == "enabled" and thinking.budget_tokens is None:
        raise missing("thinking.budget_tokens")


def _check_blocks(request: MessagesRequest) -> None:
    if isinstance(request.system, list):
        _check_each(request.system, "system")
    for number, message in enumerate(request.messages):
        if isinstance(message.content, list):
            _check_each(message.content, f"messages[{number}].content")


def _check_each(blocks: list[Block], where: str) -> None:
    for number, block in enumerate(blocks):
        for name in _NEEDED.get(block.type, ()):
            if getattr(block, name) is _UNSET:
                raise missing(f"{where}[{number}].{name}")


def _check_tools(request: MessagesRequest) -> None:
    for number, tool in enumerate(request.tools or ()):
        if tool.type not in {None, "custom"}:
            continue  # one of the provider's own
        if tool.name is None:
            raise missing(f"tools[{number}].name")
        if tool.input_schema is _UNSET:
            raise missing(f"tools[{number}].input_schema")
