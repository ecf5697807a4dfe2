"""Anthropic's requests in OpenAI's words. Pure.

The types here are strict: they hold what can be translated, and a field or a kind of block
beyond them is refused by name. These are taken and not told, because no answer depends on
them: where a cache may begin (``cache_control``), citations in and signatures of earlier
answers, which only Anthropic can use, how finely a tool's input is streamed.

Where the formats differ in form: results of tools are messages of their own in OpenAI's, what
failed is said in their text; the text and the calls of one answer are two fields, so their
order is lost; a budget for thinking is one of three words.
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


class _Block(Strict, tag_field="type"):
    cache_control: Any = None


class _Text(_Block, tag="text", kw_only=True):
    text: str
    citations: Any = None


class _Base64(Strict, tag_field="type", tag="base64"):
    media_type: str
    data: str


class _Url(Strict, tag_field="type", tag="url"):
    url: str


class _Image(_Block, tag="image", kw_only=True):
    source: _Base64 | _Url


class _Direct(Strict, tag_field="type", tag="direct"):
    """Who called a tool: the model itself."""


class _ToolUse(_Block, tag="tool_use", kw_only=True):
    id: str
    name: str
    input: dict[str, Raw]
    caller: _Direct | None = None


class _ToolResult(_Block, tag="tool_result", kw_only=True):
    tool_use_id: str
    content: str | list[_Text] | None = None
    is_error: bool | None = None


class _Thinking(Strict, tag_field="type", tag="thinking"):
    thinking: str
    signature: str


class _User(Strict, tag_field="role", tag="user"):
    content: str | list[_Text | _Image | _ToolResult]


class _Assistant(Strict, tag_field="role", tag="assistant"):
    content: str | list[_Text | _ToolUse | _Thinking]


class _System(Strict, tag_field="role", tag="system"):
    content: str | list[_Text]


class _Tool(Strict):
    name: str
    input_schema: dict[str, Raw]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: bool | None = None


class _Choice(Strict):
    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    """Of the tool that is to be called, and only there."""
    disable_parallel_tool_use: bool | None = None


class _ThinkingConfig(Strict):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: Literal["summarized"] | None = None


class _OutputFormat(Strict):
    type: Literal["json_schema"]
    schema: dict[str, Raw]


class _OutputConfig(Strict):
    effort: str | None = None
    format: _OutputFormat | None = None


class _Metadata(Strict):
    user_id: str | None = None


class _Request(Strict):
    model: str
    max_tokens: int
    messages: list[_User | _Assistant | _System]
    system: str | list[_Text] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    thinking: _ThinkingConfig | None = None
    output_config: _OutputConfig | None = None
    metadata: _Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    speed: Literal["standard"] | None = None
    cache_control: Any = None


_decoder: Final = msgspec.json.Decoder(_Request)
_encode: Final = msgspec.json.Encoder().encode

_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_TIERS: Final = {"auto": "auto", "standard_only": "default"}


def to_openai(fields: Fields, provider_format: str) -> Json:
    """The request in ``fields`` as OpenAI's request object; what is not asked for is None.

    Raises a 400 `Failure` that names what has no word there; ``provider_format`` is for that.
    """
    request = strictly(fields, _decoder, provider_format)
    return {
        "model": request.model,
        "messages": _messages(request),
        "max_completion_tokens": request.max_tokens,
        "stop": request.stop_sequences,
        "stream": request.stream,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "tools": [_tool(tool) for tool in request.tools] if request.tools else None,
        "reasoning_effort": _effort(request, provider_format),
        "user": request.metadata.user_id if request.metadata is not None else None,
        "service_tier": _TIERS[request.service_tier] if request.service_tier else None,
        "response_format": _response_format(request.output_config),
        **_tool_choice(request.tool_choice),
    }


def _messages(request: _Request) -> list[Json]:
    messages: list[Json] = []
    if request.system:
        messages.append({"role": "system", "content": _content(request.system)})
    for message in request.messages:
        if isinstance(message, _User):
            messages += _of_user(message)
        elif isinstance(message, _Assistant):
            messages.append(_of_assistant(message))
        else:
            messages.append({"role": "system", "content": _content(message.content)})
    return messages


def _of_user(message: _User) -> list[Json]:
    """A user's turn: results of tools are messages of their own, in their place."""
    if isinstance(message.content, str):
        return [{"role": "user", "content": message.content}]
    messages: list[Json] = []
    said: list[_Text | _Image] = []
    for block in message.content:
        if not isinstance(block, _ToolResult):
            said.append(block)
            continue
        if said:
            messages.append({"role": "user", "content": _content(said)})
            said = []
        messages.append(_result(block))
    if said or not messages:
        messages.append({"role": "user", "content": _content(said)})
    return messages


def _result(block: _ToolResult) -> Json:
    content = _content(block.content or "")
    return result_of(block.tool_use_id, _failed(content) if block.is_error else content)


def _failed(content: str | list[Json]) -> str | list[Json]:
    """OpenAI has no flag for a tool that failed: its text says so."""
    if isinstance(content, str):
        return f"Error: {content}"
    return [text_part("Error:"), *content]


def _of_assistant(message: _Assistant) -> Json:
    content = message.content
    blocks = [_Text(text=content)] if isinstance(content, str) else content
    texts = [text_part(block.text) for block in blocks if isinstance(block, _Text)]
    thoughts = [block.thinking for block in blocks if isinstance(block, _Thinking)]
    calls = [_call(block) for block in blocks if isinstance(block, _ToolUse)]
    return turn_of(texts, thoughts, calls)


def _call(block: _ToolUse) -> Json:
    return call_of(block.id, block.name, _encode(block.input).decode())


def _content(content: str | list[_Text] | list[_Text | _Image]) -> str | list[Json]:
    return content if isinstance(content, str) else content_of([_part(each) for each in content])


def _part(block: _Text | _Image) -> Json:
    if isinstance(block, _Text):
        return text_part(block.text)
    source = block.source
    if isinstance(source, _Url):
        return image_part(source.url)
    return image_part(f"data:{source.media_type};base64,{source.data}")


def _tool(tool: _Tool) -> Json:
    return function_of(tool.name, tool.description, tool.input_schema, strict=tool.strict)


def _tool_choice(choice: _Choice | None) -> Json:
    if choice is None:
        return {}
    named = {"type": "function", "function": {"name": choice.name}}
    asked: Json = {"tool_choice": _CHOICES.get(choice.type, named)}
    if choice.disable_parallel_tool_use is not None:
        asked["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return asked


def _effort(request: _Request, provider_format: str) -> str | None:
    """How much to think: the word for it, else that for the budget."""
    thinking, output = request.thinking, request.output_config
    effort = output.effort if output is not None else None
    if thinking is not None and thinking.type == "disabled":
        if effort is not None:
            why = "there it is about thinking alone, which is disabled"
            raise refusal("output_config.effort", provider_format, why)
        return "none"
    if effort is not None:
        return effort
    return effort_of(thinking.budget_tokens) if thinking is not None else None


def _response_format(output: _OutputConfig | None) -> Json | None:
    if output is None or output.format is None:
        return None
    return schema_of(output.format.schema, strict=True)
