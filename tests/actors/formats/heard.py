"""What was read of a provider's stream, put together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Chunk, ProviderFormat
from sluice.actors.formats.sse import SseEvent

texts = st.lists(st.text(), max_size=8)
given_arguments = st.dictionaries(st.text(), st.integers()).map(
    lambda value: msgspec.json.encode(value).decode()
)
"""Those of a call: JSON in a string."""


def event(data: dict[str, Any]) -> SseEvent:
    """An event, named by its type."""
    return SseEvent(msgspec.json.encode(data), data["type"].encode())


def pieces(text: str, size: int) -> list[str]:
    """``text``, cut."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def joined(chunks: list[Chunk], field: str) -> str:
    """All that the deltas say in ``field``."""
    found = [getattr(choice.delta, field) for chunk in chunks for choice in chunk.choices]
    return "".join(piece for piece in found if piece)


def arguments(chunks: list[Chunk]) -> dict[int, str]:
    """Those of each call, by its number."""
    found: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                said = call["function"].get("arguments", "")
                found[call["index"]] = found.get(call["index"], "") + said
    return found


def reasons(chunks: list[Chunk]) -> list[str]:
    """For the end."""
    found = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    return [reason for reason in found if reason]


def assert_same(chunks: list[Chunk], completion: bytes) -> None:
    """A stream says what an answer says that was told in OpenAI's words whole."""
    told = msgspec.json.decode(completion)
    message = told["choices"][0]["message"]
    assert joined(chunks, "content") == (message["content"] or "")
    assert joined(chunks, "reasoning_content") == message.get("reasoning_content", "")
    streamed = msgspec.json.decode(arguments(chunks)[0])
    assert streamed == msgspec.json.decode(message["tool_calls"][0]["function"]["arguments"])
    assert [chunk.usage for chunk in chunks if chunk.usage is not msgspec.UNSET] == [told["usage"]]
    assert reasons(chunks) == [told["choices"][0]["finish_reason"]]


def failure_of(provider: ProviderFormat, body: bytes) -> Failure:
    """What ``body`` is, which is no whole answer of the provider's, for a client of any format."""
    found = []
    for check in (provider.check_whole, provider.as_completion):
        with pytest.raises(Failure) as caught:
            check(body)
        found.append(caught.value)
    passed, translated = found
    assert (passed.code, passed.stage) == (translated.code, translated.stage)
    return translated
