"""Cohere's response to a chat, made of OpenAI's ``chat.completion``. Pure.

Source: ``cohere.v2.types.V2ChatResponse``.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from sluice.actors.ids import new_id

from .completion import CallPiece, Message, Usage, read_completion, reason_of

_encode: Final = msgspec.json.Encoder().encode

_FINISH_REASONS: Final = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "function_call": "TOOL_CALL",
    "content_filter": "ERROR",
}
"""Cohere has no word for an answer that a filter ended: ``ERROR`` is the one for "not whole"."""


def finish_reason_of(finish_reason: str | None, *, called: bool) -> str:
    """Cohere's word for the end of an answer. A word that is not OpenAI's is a natural end.

    ``called``: it calls a tool.
    """
    return _FINISH_REASONS.get(reason_of(finish_reason, called=called), "COMPLETE")


def usage_of(usage: Usage) -> dict[str, Any]:
    """Tokens as Cohere counts them. What is billed is not known here: the same is told."""
    tokens = {"input_tokens": usage.prompt, "output_tokens": usage.completion}
    counts = {"billed_units": tokens, "tokens": tokens, "cached_tokens": usage.cached}
    return counts if usage.finished_by is None else {**counts, "finished_by": usage.finished_by}


def response_id() -> str:
    """Another id of an answer: a UUID."""
    return str(uuid.UUID(new_id()))


def tool_call_of(call: CallPiece, arguments: str) -> dict[str, Any]:
    """A call of a tool. One without an id gets one, for its result must name it."""
    function = {"name": call.function.name or "", "arguments": arguments}
    return {"id": call.id or f"call_{new_id()}", "type": "function", "function": function}


def as_response(body: bytes) -> bytes:
    """The response that says what ``body``, a ``chat.completion``, says. Raises a 502 `Failure`."""
    choice, usage = read_completion(body)
    response = {
        "id": response_id(),
        "finish_reason": finish_reason_of(
            choice.finish_reason, called=bool(choice.message.tool_calls)
        ),
        "message": _message(choice.message),
        "usage": usage_of(usage),
    }
    return _encode(response)


def _message(said: Message) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    content = _content(said)
    calls = [tool_call_of(call, call.function.arguments or "{}") for call in said.tool_calls or ()]
    if content or not calls:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return message


def _content(said: Message) -> list[dict[str, str]]:
    parts = [
        ("thinking", said.reasoning_content or said.reasoning),
        ("text", said.content),
        ("text", said.refusal),
    ]
    return [{"type": kind, kind: text} for kind, text in parts if text]
