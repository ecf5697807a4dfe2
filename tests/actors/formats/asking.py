"""Requests in OpenAI's words, to be said in those of other formats."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sluice.actors.failures import Failure
from sluice.actors.formats.requests import translated

HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FIND = {"name": "find", "description": "Finds.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FIND}]
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
OTHER = {"id": "c2", "type": "function", "function": {"name": "find", "arguments": ""}}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Find a."},
    {"role": "assistant", "content": None, "tool_calls": [CALL, OTHER], "refusal": None},
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
    {"role": "user", "content": "Thanks."},
]
JPEG = "data:image/jpeg;base64,/9j/4A=="


def say(
    provider_format: str, *, model: str | None = None, streamed: bool = False, **fields: Any
) -> dict[str, Any]:
    """The body that a provider gets."""
    asked = {"model": "m", "messages": HELLO} | fields
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    body = translated(raw, provider_format, model, streamed=streamed, max_tokens=4096)
    said: dict[str, Any] = msgspec.json.decode(body)
    return said


def refused(provider_format: str, **fields: Any) -> str | None:
    """The field that the format has no words for."""
    with pytest.raises(Failure) as caught:
        say(provider_format, **fields)
    failure = caught.value
    assert (failure.code, failure.status, failure.stage) == ("untranslatable", 400, "validation")
    assert failure.param is not None
    assert failure.param in failure.message
    return failure.param
