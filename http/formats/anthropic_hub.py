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

from .translation import effort_of, strictly

Raw = msgspec.Raw


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Takes no field that it does not know."""


class _Block(_Strict, tag_field="type"):
    cache_control: Any = None


class _Text(_Block, tag="text", kw_only=True):
    text: str
    citations: Any = None


class _Base64(_Strict, tag_field="type", tag="base64"):
    media_type: str
    data: str


class _Url(_Strict, tag_field="type", tag="url"):
    url: str


class _Image(_Block, tag="image", kw_only=True):
    source: _Base64 | _Url


class _Direct(_Strict, tag_field="type", tag="direct"):
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


class _Thinking(_Strict, tag_field="type", tag="thinking"):
    thinking: str
    signature: str


class _User(_Strict, tag_field="role", tag="user"):
    content: str | list[_Text | _Image | _ToolResult]


class _Assistant(_Strict, tag_field="role", tag="assistant"):
    content: str | list[_Text | _ToolUse | _Thinking]


class _System(_Strict, tag_field="role", tag="system"):
    content: str | list[_Text]


class _Tool(_Strict):
    name: str
    input_schema: dict[str, Raw]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: bool | None = None


class _Choice(_Strict):
    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _ThinkingConfig(_Strict):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: Literal["summarized"] | None = None


class _OutputFormat(_Strict):
    type: Literal["json_schema"]
    schema: dict[str, Raw]


class _OutputConfig(_Strict):
    effort: str | None = None
    format: _OutputFormat | None = None


class _Metadata(_Strict):
    user_id: str | None = None


class _Request(_Strict):
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


def to_openai(fields: Fields, provider_format: str) -> dict[str, Any]:
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
        "reasoning_effort": _effort(request),
        "user": request.metadata.user_id if request.metadata is not None else None,
        "service_tier": _TIERS[request.service_tier] if request.service_tier else None,
        **_tool_choice(request.tool_choice),
        **_response_format(request.output_config),
    }


def _messages(request: _Request) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": _parts(request.system)})
    for message in request.messages:
        if isinstance(message, _User):
            messages += _of_user(message)
        elif isinstance(message, _Assistant):
            messages.append(_of_assistant(message))
        else:
            messages.append({"role": "system", "content": _parts(message.content)})
    return messages


def _of_user(message: _User) -> list[dict[str, Any]]:
    """A user's turn: results of tools are messages of their own, in their place."""
    if isinstance(message.content, str):
        return [{"role": "user", "content": message.content}]
    messages: list[dict[str, Any]] = []
    said: list[_Text | _Image] = []
    for block in message.content:
        if not isinstance(block, _ToolResult):
            said.append(block)
            continue
        if said:
            messages.append({"role": "user", "content": _parts(said)})
            said = []
        messages.append(_result(block))
    if said or not messages:
        messages.append({"role": "user", "content": _parts(said)})
    return messages


def _result(block: _ToolResult) -> dict[str, Any]:
    content = _parts(block.content or "")
    if block.is_error:
        content = _failed(content)
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}


def _failed(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """OpenAI has no flag for a tool that failed: its text says so."""
    if isinstance(content, str):
        return f"Error: {content}"
    return [{"type": "text", "text": "Error:"}, *content]


def _of_assistant(message: _Assistant) -> dict[str, Any]:
    if isinstance(message.content, str):
        return {"role": "assistant", "content": message.content}
    text = [block for block in message.content if isinstance(block, _Text)]
    calls = [_call(block) for block in message.content if isinstance(block, _ToolUse)]
    thought = [block.thinking for block in message.content if isinstance(block, _Thinking)]
    turn: dict[str, Any] = {"role": "assistant", "content": _parts(text) if text else None}
    if thought:
        turn["reasoning_content"] = "".join(thought)
    if calls:
        turn["tool_calls"] = calls
    elif not text:
        turn["content"] = ""
    return turn


def _call(block: _ToolUse) -> dict[str, Any]:
    function = {"name": block.name, "arguments": _encode(block.input).decode()}
    return {"id": block.id, "type": "function", "function": function}


def _parts(content: str | list[_Text] | list[_Text | _Image]) -> str | list[dict[str, Any]]:
    """Content as OpenAI has it; one text alone is a string, which everybody takes."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and isinstance(content[0], _Text):
        return content[0].text
    return [_part(block) for block in content]


def _part(block: _Text | _Image) -> dict[str, Any]:
    if isinstance(block, _Text):
        return {"type": "text", "text": block.text}
    source = block.source
    if isinstance(source, _Url):
        url = source.url
    else:
        url = f"data:{source.media_type};base64,{source.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool(tool: _Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: _Choice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    named = {"type": "function", "function": {"name": choice.name}}
    asked: dict[str, Any] = {"tool_choice": _CHOICES.get(choice.type, named)}
    if choice.disable_parallel_tool_use is not None:
        asked["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return asked


def _effort(request: _Request) -> str | None:
    """How much to think: the word for it, else that for the budget."""
    thinking, output = request.thinking, request.output_config
    if thinking is not None and thinking.type == "disabled":
        return "none"
    if output is not None and output.effort is not None:
        return output.effort
    return effort_of(thinking.budget_tokens) if thinking is not None else None


def _response_format(output: _OutputConfig | None) -> dict[str, Any]:
    if output is None or output.format is None:
        return {}
    schema = {"name": "answer", "schema": output.format.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
