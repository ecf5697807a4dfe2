"""A request in OpenAI's words, said in Cohere's: ``POST /v2/chat``. Pure.

Source: the official SDK's ``V2Client.chat`` and its types. What needs a decision:

* One tool that must be called is ``REQUIRED``, if there is no other.
* A schema is the ``json_schema`` of a ``json_object``.
* ``reasoning_effort`` is a ``token_budget`` to think (`BUDGETS`), ``none`` is no thinking.
* Reasoning of earlier turns is the plan where it led to tool calls, else a thinking block; what
  proves it to Anthropic is nobody else's, and left out.
* ``logprobs`` are refused: Cohere tells them in groups of tokens that OpenAI has no place for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .asked import NO_PARAMETERS, Function, Message, Part, Question, Text

_encode: Final = msgspec.json.Encoder().encode
_SAME: Final = {
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
}
"""What goes as it is, with its name there."""
_CHOICES: Final = {"auto": None, "none": "NONE", "required": "REQUIRED"}

Block = dict[str, Any]


def cohere_request(
    fields: Mapping[str, msgspec.Raw], model: str | None, *, streamed: bool
) -> bytes:
    """The body. Raises a 400 `Failure` that names what cannot be said.

    ``model`` is what the provider calls it (None: what the client did).
    """
    question = Question(fields, "cohere")
    body: dict[str, Any] = {"model": question.model(model)}
    messages = enumerate(question.messages())
    body["messages"] = [_message(message, at, question) for at, message in messages]
    _say_tools(body, question)
    _say_options(body, question)
    question.close()
    body["stream"] = streamed
    return _encode(body)


def _say_options(body: dict[str, Any], question: Question) -> None:
    for name, theirs in _SAME.items():
        value = question.take_as_it_is(name)
        if value is not None:
            body[theirs] = value
    length = question.max_tokens()
    if length is not None:
        body["max_tokens"] = length
    stop = question.stop()
    if stop:
        body["stop_sequences"] = stop
    budget = question.budget()
    if budget == 0:
        body["thinking"] = {"type": "disabled"}
    elif budget is not None:
        body["thinking"] = {"type": "enabled", "token_budget": budget}
    form = question.form()
    if form is not None:
        schema = {} if form.schema is None else {"json_schema": form.schema}
        body["response_format"] = {"type": "json_object", **schema}


def _say_tools(body: dict[str, Any], question: Question) -> None:
    functions = question.functions()
    if functions:
        body["tools"] = [_tool(function) for function in functions]
        strict = {function.strict is True for function in functions}
        if len(strict) > 1:
            raise question.refused("tools", "either all functions are strict or none")
        if strict == {True}:
            body["strict_tools"] = True
    choice = _choice(functions, question)
    if choice is not None:
        body["tool_choice"] = choice


def _choice(functions: list[Function], question: Question) -> str | None:
    choice = question.take("tool_choice")
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise question.refused("tool_choice")
        return _CHOICES[choice]
    if [function.name for function in functions] != [choice.function.name]:
        raise question.refused("tool_choice", "of several tools none can be required")
    return "REQUIRED"


def _tool(function: Function) -> Block:
    said: Block = {"name": function.name}
    if function.description is not None:
        said["description"] = function.description
    said["parameters"] = function.parameters or NO_PARAMETERS
    return {"type": "function", "function": said}


def _message(message: Message, at: int, question: Question) -> Block:
    if message.role == "assistant":
        return _answered(message, at, question)
    role = "system" if message.role == "developer" else message.role
    content = _content(message, at, question, images=role == "user")
    if role != "tool":
        return {"role": role, "content": content}
    return {"role": role, "tool_call_id": message.tool_call_id, "content": content}


def _answered(message: Message, at: int, question: Question) -> Block:
    said: Block = {"role": "assistant"}
    calls = [
        {"id": call.id, "type": "function", "function": call.function}
        for call in message.tool_calls or ()
    ]
    if calls:
        said["tool_calls"] = calls
    content = None
    if message.content:
        content = _content(message, at, question, images=False)
    if message.reasoning_content and calls:
        said["tool_plan"] = message.reasoning_content
    elif message.reasoning_content:
        texts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        content = [{"type": "thinking", "thinking": message.reasoning_content}, *(texts or ())]
    if content is not None or not calls:
        said["content"] = content if content is not None else ""
    return said


def _content(message: Message, at: int, question: Question, *, images: bool) -> str | list[Block]:
    content = message.content or ""
    if isinstance(content, str):
        return content
    for number, part in enumerate(content):
        if not (images or isinstance(part, Text)):
            raise question.refused(f"messages[{at}].content[{number}].type")
    return [_block(part) for part in content]


def _block(part: Part) -> Block:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    image = part.image_url
    said = {"url": image.url}
    if image.detail is not None:
        said["detail"] = image.detail
    return {"type": "image_url", "image_url": said}
