"""Cohere's requests in OpenAI's words. Pure.

The types here are strict: they hold what can be translated, and a field or a kind of part
beyond them is refused by name. Only ``citations`` in earlier answers are taken and not told:
they are notes on a text that is told.

Where the formats differ in form: a plan to call tools is OpenAI's text beside the calls; a
document that a tool found is told as the JSON of its data; a budget for thinking is one of
three words.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from sluice.http.validation import Fields

from .translation import effort_of, refusal, strictly

Raw = msgspec.Raw


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Takes no field that it does not know."""


class _Text(_Strict, tag_field="type", tag="text"):
    text: str


class _ImageUrl(_Strict):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class _Image(_Strict, tag_field="type", tag="image_url"):
    image_url: _ImageUrl


class _Thinking(_Strict, tag_field="type", tag="thinking"):
    thinking: str


class _Document(_Strict):
    data: str | dict[str, Raw]
    id: str | None = None


class _DocumentPart(_Strict, tag_field="type", tag="document"):
    document: _Document


class _Function(_Strict):
    name: str
    arguments: str


class _ToolCall(_Strict):
    id: str
    function: _Function
    type: Literal["function"] | None = None


class _System(_Strict, tag_field="role", tag="system"):
    content: str | list[_Text]


class _User(_Strict, tag_field="role", tag="user"):
    content: str | list[_Text | _Image]


class _Assistant(_Strict, tag_field="role", tag="assistant"):
    content: str | list[_Text | _Thinking] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_plan: str | None = None
    citations: Any = None


class _Tool(_Strict, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str | list[_Text | _DocumentPart]


class _OfferedFunction(_Strict):
    name: str
    description: str | None = None
    parameters: dict[str, Raw] | None = None


class _Offered(_Strict):
    function: _OfferedFunction
    type: Literal["function"] | None = None


class _ResponseFormat(_Strict):
    type: Literal["text", "json_object"]
    json_schema: dict[str, Raw] | None = None


class _ThinkingConfig(_Strict):
    type: Literal["enabled", "disabled"]
    token_budget: int | None = None


class _Request(_Strict):
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


def to_openai(fields: Fields, provider_format: str) -> dict[str, Any]:
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


def _message(message: _System | _User | _Assistant | _Tool) -> dict[str, Any]:
    if isinstance(message, _Assistant):
        return _of_assistant(message)
    if isinstance(message, _Tool):
        content = _parts(message.content)
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    role = "system" if isinstance(message, _System) else "user"
    return {"role": role, "content": _parts(message.content)}


def _of_assistant(message: _Assistant) -> dict[str, Any]:
    content = message.content
    parts = [_Text(text=content)] if isinstance(content, str) else list(content or ())
    thought = [part.thinking for part in parts if isinstance(part, _Thinking)]
    text = [part for part in parts if isinstance(part, _Text)]
    if message.tool_plan:
        text.insert(0, _Text(text=message.tool_plan))
    turn: dict[str, Any] = {"role": "assistant", "content": _parts(text) if text else None}
    if thought:
        turn["reasoning_content"] = "".join(thought)
    if message.tool_calls:
        turn["tool_calls"] = [_call(call) for call in message.tool_calls]
    elif not text:
        turn["content"] = ""
    return turn


def _call(call: _ToolCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _parts(
    content: str | list[_Text] | list[_Text | _Image] | list[_Text | _DocumentPart],
) -> str | list[dict[str, Any]]:
    """Content as OpenAI has it; one text alone is a string, which everybody takes."""
    if isinstance(content, str):
        return content
    parts = [_part(part) for part in content]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _part(part: _Text | _Image | _DocumentPart) -> dict[str, Any]:
    if isinstance(part, _Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, _DocumentPart):
        data = part.document.data
        return {"type": "text", "text": data if isinstance(data, str) else _encode(data).decode()}
    image = {"url": part.image_url.url}
    if part.image_url.detail is not None:
        image["detail"] = part.image_url.detail
    return {"type": "image_url", "image_url": image}


def _tools(request: _Request) -> list[dict[str, Any]] | None:
    if not request.tools:
        return None
    return [_tool(tool.function, strict=request.strict_tools) for tool in request.tools]


def _tool(offered: _OfferedFunction, *, strict: bool | None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": offered.name}
    if offered.parameters is not None:
        function["parameters"] = offered.parameters
    if offered.description is not None:
        function["description"] = offered.description
    if strict is not None:
        function["strict"] = strict
    return {"type": "function", "function": function}


def _effort(thinking: _ThinkingConfig | None) -> str | None:
    if thinking is None:
        return None
    if thinking.type == "disabled":
        return "none"
    return effort_of(thinking.token_budget)


def _response_format(wanted: _ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.json_schema is None:
        return None if wanted is None else {"type": wanted.type}
    # Not strict: OpenAI's strict mode asks more of a schema than Cohere does.
    schema = {"name": "answer", "schema": wanted.json_schema}
    return {"type": "json_schema", "json_schema": schema}
