"""OpenAI's words for the parts of a request, for formats that are translated into them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.http.validation import Raw

Json = dict[str, Any]


def text_part(text: str) -> Json:
    """Text."""
    return {"type": "text", "text": text}


def image_part(url: str, detail: str | None = None) -> Json:
    """An image of the web, or the one that a data URL is."""
    image = {"url": url}
    if detail is not None:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def content_of(parts: list[Json]) -> str | list[Json]:
    """A message's content; one text alone is a string, which everybody takes."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def turn_of(texts: list[Json], thoughts: Sequence[str], calls: list[Json]) -> Json:
    """What the assistant said, thought and called; one who did nothing said an empty text."""
    turn: Json = {"role": "assistant", "content": content_of(texts) if texts else None}
    if thoughts:
        turn["reasoning_content"] = "".join(thoughts)
    if calls:
        turn["tool_calls"] = calls
    elif not texts:
        turn["content"] = ""
    return turn


def result_of(call_id: str, content: str | list[Json]) -> Json:
    """What a tool answered."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def call_of(call_id: str, name: str, arguments: str) -> Json:
    """A tool that was called; ``arguments`` are JSON in a string."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function_of(
    name: str,
    description: str | None,
    parameters: Mapping[str, Raw] | None,
    *,
    strict: bool | None,
) -> Json:
    """A tool that may be called; what is None is not said."""
    said = {"description": description, "parameters": parameters, "strict": strict}
    rest = {key: value for key, value in said.items() if value is not None}
    return {"type": "function", "function": {"name": name, **rest}}


def schema_of(schema: Mapping[str, Raw], **more: bool) -> Json:
    """A ``response_format``: what the answer has to look like. OpenAI wants a name for it."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}
