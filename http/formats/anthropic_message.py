"""Anthropic's ``message``, made of OpenAI's ``chat.completion``. Pure.

Source: ``anthropic.types.Message``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sluice.actors.ids import new_id

from .completion import CallPiece, Message, Usage, arguments_of, read_completion, reason_of

_encode: Final = msgspec.json.Encoder().encode

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def stop_reason_of(finish_reason: str | None, *, called: bool) -> str:
    """Anthropic's word for the end of an answer. A word that is not OpenAI's is a natural end.

    ``called``: it calls a tool.
    """
    return _STOP_REASONS.get(reason_of(finish_reason, called=called), "end_turn")


def usage_of(usage: Usage) -> dict[str, Any]:
    """Tokens as Anthropic counts them: those of a cache are not among the input's."""
    counts: dict[str, Any] = {
        "input_tokens": max(usage.prompt - usage.cached - usage.written, 0),
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }
    if usage.written:
        counts["cache_creation_input_tokens"] = usage.written
    if usage.reasoning:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.finished_by is not None:
        counts["finished_by"] = usage.finished_by
    return counts


def tool_use_of(call: CallPiece, arguments: dict[str, Any]) -> dict[str, Any]:
    """The block of a call. One without an id gets one, for its result must name it."""
    return {
        "type": "tool_use",
        "id": call.id or f"toolu_{new_id()}",
        "name": call.function.name or "",
        "input": arguments,
    }


def message_of(
    model: str, content: list[dict[str, Any]], stop_reason: str | None, usage: Usage
) -> dict[str, Any]:
    """A message of the assistant's."""
    return {
        "id": f"msg_{new_id()}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage_of(usage),
    }


def as_message(body: bytes, model: str) -> bytes:
    """The ``message`` that says what ``body``, a ``chat.completion``, says.

    ``model`` is what the client called it. Raises a 502 `Failure`.
    """
    choice, usage = read_completion(body)
    message = choice.message
    reason = stop_reason_of(choice.finish_reason, called=bool(message.tool_calls))
    reason = "refusal" if message.refusal else reason
    return _encode(message_of(model, _content(message), reason, usage))


def _content(message: Message) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    thought = message.reasoning_content or message.reasoning
    signature = message.reasoning_signature or ""
    if thought or signature:
        blocks.append({"type": "thinking", "thinking": thought or "", "signature": signature})
    texts = (message.content, message.refusal)
    blocks += [{"type": "text", "text": text} for text in texts if text]
    calls = message.tool_calls or ()
    return blocks + [tool_use_of(call, arguments_of(call)) for call in calls]
