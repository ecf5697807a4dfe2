"""A request in OpenAI's words, said in Anthropic's: ``POST /v1/messages``. Pure.

Source: the official SDK's ``MessageCreateParams``. What needs a decision:

* ``max_tokens`` is required: the model's default where the client says nothing.
* ``reasoning_effort`` is a budget to think (`BUDGETS`), ``none`` is no thinking. The budget is part
  of ``max_tokens``: a default grows by it, and one the client set keeps it below.
* ``response_format`` with a schema is ``output_config.format``; JSON without one has no words.
* ``temperature``, ``top_p`` and ``top_k`` go as they are: older models take them.
* Reasoning of earlier turns can be said only with its signature; and a signature alone stands for
  reasoning that was not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .asked import NO_PARAMETERS, Question
from .asked_types import Message, Part, Text, ToolCall

_LEAST_BUDGET: Final = 1024
_IMAGES: Final = {
    **{kind: kind for kind in ("image/jpeg", "image/png", "image/gif", "image/webp")},
    "image/jpg": "image/jpeg",  # not registered, and widely used
}
"""The media types that it takes, by the names that clients have for them."""
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_TIERS: Final = {None: None, "auto": None, "default": "standard_only"}
_encode: Final = msgspec.json.Encoder().encode

Block = dict[str, Any]


def anthropic_request(
    fields: Mapping[str, msgspec.Raw], model: str | None, max_tokens: int, *, streamed: bool
) -> bytes:
    """The body. Raises a 400 `Failure` that names what cannot be said.

    ``model`` is what the provider calls it (None: what the client did); ``max_tokens`` holds where
    the client says nothing.
    """
    question = Question(fields, "anthropic")
    body: dict[str, Any] = {"model": question.model(model)}
    _say_length(body, question, max_tokens)
    _say_messages(body, question)
    _say_tools(body, question)
    _say_options(body, question)
    question.close()
    if streamed:
        body["stream"] = True
    return _encode(body)


def _say_length(body: dict[str, Any], question: Question, default: int) -> None:
    asked = question.max_tokens()
    budget = question.budget()
    if budget == 0:
        body["thinking"] = {"type": "disabled"}
    elif budget is not None:
        if asked is None:
            default += budget
        else:
            budget = min(budget, asked - 1)
        if budget < _LEAST_BUDGET:
            raise question.refused("reasoning_effort", "max_tokens leaves no room to think")
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    body["max_tokens"] = default if asked is None else asked


def _say_options(body: dict[str, Any], question: Question) -> None:
    for name in ("temperature", "top_p", "top_k"):
        value = question.take_as_it_is(name)
        if value is not None:
            body[name] = value
    stop = question.stop()
    if stop:
        body["stop_sequences"] = stop
    user = question.take("user")
    if user is not None:
        body["metadata"] = {"user_id": user}
    tier = question.take("service_tier")
    if tier not in _TIERS:
        raise question.refused("service_tier")
    if _TIERS[tier] is not None:
        body["service_tier"] = _TIERS[tier]
    form = question.form()
    if form is not None:
        if form.schema is None:
            raise question.refused("response_format", "it needs a schema")
        body["output_config"] = {"format": {"type": "json_schema", "schema": form.schema}}


def _say_tools(body: dict[str, Any], question: Question) -> None:
    tools = []
    for function in question.functions():
        tool: Block = {"name": function.name}
        if function.description is not None:
            tool["description"] = function.description
        tool["input_schema"] = function.parameters or NO_PARAMETERS
        if function.strict is not None:
            tool["strict"] = function.strict
        tools.append(tool)
    if tools:
        body["tools"] = tools
    choice = _choice(question)
    if question.take("parallel_tool_calls") is False and tools:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice is not None:
        body["tool_choice"] = choice


def _choice(question: Question) -> Block | None:
    choice = question.take("tool_choice")
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise question.refused("tool_choice")
        return {"type": _CHOICES[choice]} if choice != "auto" else None
    return {"type": "tool", "name": choice.function.name}


def _say_messages(body: dict[str, Any], question: Question) -> None:
    messages = question.messages()
    first = 0
    while first < len(messages) and messages[first].role in {"system", "developer"}:
        first += 1
    system = [_texts(message, at, question) for at, message in enumerate(messages[:first])]
    if len(system) == 1 and isinstance(system[0], str):
        body["system"] = system[0]
    elif system:
        body["system"] = [block for content in system for block in _as_blocks(content)]
    said: list[Block] = []
    for at, message in enumerate(messages[first:], first):
        _say_message(said, message, at, question)
    body["messages"] = said


def _say_message(said: list[Block], message: Message, at: int, question: Question) -> None:
    if message.role == "assistant":
        said.append({"role": "assistant", "content": _answered(message, at, question)})
    elif message.role == "tool":
        result = _result(message, at, question)
        if said and isinstance(said[-1], _Results):
            said[-1]["content"].append(result)
        else:
            said.append(_Results(role="user", content=[result]))
    elif message.role == "user":
        said.append({"role": "user", "content": _content(message, at, question)})
    else:
        said.append({"role": "system", "content": _texts(message, at, question)})


class _Results(dict[str, Any]):
    """A user's message that holds nothing but results of tools: more of them may join."""


def _result(message: Message, at: int, question: Question) -> Block:
    content = _content(message, at, question)
    return {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}


def _answered(message: Message, at: int, question: Question) -> str | list[Block]:
    blocks: list[Block] = []
    thinking, signature = message.thought, message.reasoning_signature
    if thinking and not signature:
        raise question.refused(f"messages[{at}].reasoning_content", "reasoning needs its signature")
    if signature:
        blocks.append({"type": "thinking", "thinking": thinking, "signature": signature})
    calls = message.tool_calls or ()
    content = _texts(message, at, question)
    if not (blocks or calls):
        return content
    blocks += [block for block in _as_blocks(content) if block["text"]]
    return blocks + [
        _tool_use(call, f"messages[{at}].tool_calls[{number}]", question)
        for number, call in enumerate(calls)
    ]


def _tool_use(call: ToolCall, where: str, question: Question) -> Block:
    try:
        arguments = msgspec.json.decode(
            call.function.arguments or "{}", type=dict[str, msgspec.Raw]
        )
    except (msgspec.MsgspecError, RecursionError):
        raise question.refused(f"{where}.function.arguments", "they are no object") from None
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": arguments}


def _as_blocks(content: str | list[Block]) -> list[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(message: Message, at: int, question: Question) -> str | list[Block]:
    """Content in which there is nothing but text."""
    content = _content(message, at, question)
    if not isinstance(content, str):
        for number, block in enumerate(content):
            if block["type"] != "text":
                raise question.refused(f"messages[{at}].content[{number}]")
    return content


def _content(message: Message, at: int, question: Question) -> str | list[Block]:
    content = message.content or ""
    if isinstance(content, str):
        return content
    return [
        _block(part, f"messages[{at}].content[{number}]", question)
        for number, part in enumerate(content)
    ]


def _block(part: Part, where: str, question: Question) -> Block:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    image = part.image_url
    if image.detail not in {None, "auto"}:
        raise question.refused(f"{where}.image_url.detail")
    return {"type": "image", "source": _source(image.url, f"{where}.image_url.url", question)}


def _source(url: str, where: str, question: Question) -> Block:
    """An image of the web, or the one that a data URL is (RFC 2397)."""
    if url[:5].lower() != "data:":
        return {"type": "url", "url": url}
    head, _, data = url[5:].partition(",")
    media_type, _, coding = head.partition(";")
    kind = _IMAGES.get(media_type.lower())
    if kind is None or coding.lower() != "base64":
        raise question.refused(where, "it is no JPEG, PNG, GIF or WebP in base64")
    return {"type": "base64", "media_type": kind, "data": data}
