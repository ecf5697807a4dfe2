"""Cohere's requests in OpenAI's words. Pure.

The types here are strict: they hold what can be translated, and a field or a kind of part
beyond them is refused by name. Only ``citations`` in earlier answers, and the names that they
know documents by, are taken and not told: they are notes on a text that is told.

Where the formats differ in form: a plan to call tools is OpenAI's text beside the calls; a
document that a tool found is told as the JSON of its data; a budget for thinking is one of
three words.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from sluice.http.validation import Fields

from .openai_request import (
    Json,
    call_of,
    content_of,
    function_of,
    image_part,
    result_of,
    schema_of,
    text_part,
    turn_of,
)
from .translation import Strict, effort_of, refusal, strictly

Raw = msgspec.Raw


class _Text(Strict, tag_field="type", tag="text"):
    text: str


class _ImageUrl(Strict):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class _Image(Strict, tag_field="type", tag="image_url"):
    image_url: _ImageUrl


class _Thinking(Strict, tag_field="type", tag="thinking"):
    thinking: str


class _Document(Strict):
    data: str | dict[str, Raw]
    id: str | None = None


class _DocumentPart(Strict, tag_field="type", tag="document"):
    document: _Document


class _Function(Strict):
    name: str
    arguments: str


class _ToolCall(Strict):
    id: str
    function: _Function
    type: Literal["function"] | None = None


class _System(Strict, tag_field="role", tag="system"):
    content: str | list[_Text]


class _User(Strict, tag_field="role", tag="user"):
    content: str | list[_Text | _Image]


class _Assistant(Strict, tag_field="role", tag="assistant"):
    content: str | list[_Text | _Thinking] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_plan: str | None = None
    citations: Any = None


class _Tool(Strict, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str | list[_Text | _DocumentPart]


class _OfferedFunction(Strict):
    name: str
    description: str | None = None
    parameters: dict[str, Raw] | None = None


class _Offered(Strict):
    function: _OfferedFunction
    type: Literal["function"] | None = None


class _ResponseFormat(Strict):
    type: Literal["text", "json_object"]
    json_schema: dict[str, Raw] | None = None


class _ThinkingConfig(Strict):
    type: Literal["enabled", "disabled"]
    token_budget: int | None = None


class _Request(Strict):
    model: str
    messages: list[_System | _User | _Assistant | _Tool]
    stream: bool | None = None
    tools: list[_Offered] | None = None
    strict_tools: bool | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    response_format: _ResponseFormat | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    k: int | None = None
    p: float | None = None
    thinking: _ThinkingConfig | None = None
    logprobs: bool | None = None


_decoder: Final = msgspec.json.Decoder(_Request)
_encode: Final = msgspec.json.Encoder().encode


def to_openai(fields: Fields, provider_format: str) -> Json:
    """The request in ``fields`` as OpenAI's request object; what is not asked for is None.

    Raises a 400 `Failure` that names what has no word there; ``provider_format`` is for that.
    """
    request = strictly(fields, _decoder, provider_format)
    if request.logprobs:
        raise refusal("logprobs", provider_format)
    return {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": request.stream,
        "tools": _tools(request),
        "tool_choice": request.tool_choice.lower() if request.tool_choice else None,
        "response_format": _response_format(request.response_format),
        "max_completion_tokens": request.max_tokens,
        "stop": request.stop_sequences,
        "temperature": request.temperature,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "top_k": request.k or None,  # 0 is Cohere's word for all
        "top_p": request.p,
        "reasoning_effort": _effort(request.thinking),
    }


def _message(message: _System | _User | _Assistant | _Tool) -> Json:
    if isinstance(message, _Assistant):
        return _of_assistant(message)
    if isinstance(message, _Tool):
        return result_of(message.tool_call_id, _content(message.content))
    role = "system" if isinstance(message, _System) else "user"
    return {"role": role, "content": _content(message.content)}


def _of_assistant(message: _Assistant) -> Json:
    content = message.content
    parts = [_Text(text=content)] if isinstance(content, str) else content or ()
    texts = [text_part(part.text) for part in parts if isinstance(part, _Text)]
    if message.tool_plan:
        texts.insert(0, text_part(message.tool_plan))
    thoughts = [part.thinking for part in parts if isinstance(part, _Thinking)]
    return turn_of(texts, thoughts, [_call(call) for call in message.tool_calls or ()])


def _call(call: _ToolCall) -> Json:
    return call_of(call.id, call.function.name, call.function.arguments)


def _content(
    content: str | list[_Text] | list[_Text | _Image] | list[_Text | _DocumentPart],
) -> str | list[Json]:
    return content if isinstance(content, str) else content_of([_part(each) for each in content])


def _part(part: _Text | _Image | _DocumentPart) -> Json:
    if isinstance(part, _Text):
        return text_part(part.text)
    if isinstance(part, _DocumentPart):
        data = part.document.data
        return text_part(data if isinstance(data, str) else _encode(data).decode())
    return image_part(part.image_url.url, part.image_url.detail)


def _tools(request: _Request) -> list[Json] | None:
    if not request.tools:
        return None
    return [_tool(tool.function, strict=request.strict_tools) for tool in request.tools]


def _tool(offered: _OfferedFunction, *, strict: bool | None) -> Json:
    return function_of(offered.name, offered.description, offered.parameters, strict=strict)


def _effort(thinking: _ThinkingConfig | None) -> str | None:
    if thinking is None:
        return None
    if thinking.type == "disabled":
        return "none"
    return effort_of(thinking.token_budget)


def _response_format(wanted: _ResponseFormat | None) -> Json | None:
    if wanted is None or wanted.json_schema is None:
        return None if wanted is None else {"type": wanted.type}
    # Not strict: OpenAI's strict mode asks more of a schema than Cohere does.
    return schema_of(wanted.json_schema)
