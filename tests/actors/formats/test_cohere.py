"""Cohere's answers: events as the official SDK types them, into the words all formats share."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cohere.v2.types import V2ChatStreamResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.actors.formats.heard import (
    arguments,
    assert_same,
    event,
    failure_of,
    given_arguments,
    joined,
    pieces,
    reasons,
    texts,
)

from sluice.actors.failures import Failure
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import Chunk
from sluice.actors.formats.sse import SseEvent

EVENTS: TypeAdapter[Any] = TypeAdapter(V2ChatStreamResponse)
USAGE = {
    "billed_units": {"input_tokens": 4.0, "output_tokens": 7.0},
    "tokens": {"input_tokens": 70.0, "output_tokens": 8.0},
    "cached_tokens": 16.0,
}


def say(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"type": kind}
    if index is not None:
        said["index"] = index
    return said | {"delta": {"message": message}} if message else said


def ended(reason: str, **delta: Any) -> dict[str, Any]:
    change = {"finish_reason": reason, "usage": USAGE} | delta
    return {"type": "message-end", "id": "x", "delta": change}


def call(call_id: str, name: str, said: str = "") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": said}}


def more(said: str) -> dict[str, Any]:
    return {"function": {"arguments": said}}


def read(*events: dict[str, Any], checked: bool = True) -> list[Chunk]:
    """All that a stream says; its events are what the SDK takes for such."""
    start = say("message-start", role="assistant", content=[], tool_calls=[], tool_plan="")
    reader = CohereProvider().reader()
    if checked:
        for each in events:
            assert EVENTS.validate_python(each).type == each["type"]
    return [reader.read(event(each)) for each in (start | {"id": "x"}, *events)]


def test_text_comes_with_its_role_first_and_its_end_and_usage_last() -> None:
    chunks = read(
        say("content-start", 0, content={"type": "text", "text": ""}),
        say("content-delta", 0, content={"text": "Hel"}),
        say("content-delta", 0, content={"text": "lo"}),
        say("content-end", 0),
        ended("COMPLETE"),
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert not chunks[0].says_something
    assert joined(chunks, "content") == "Hello"
    assert reasons(chunks) == ["stop"]
    assert [chunk.ends for chunk in chunks] == [False] * 5 + [True]
    assert chunks[-1].usage == {
        "prompt_tokens": 70,
        "completion_tokens": 8,
        "total_tokens": 78,
        "prompt_tokens_details": {"cached_tokens": 16},
    }


def test_thinking_and_the_plan_of_tool_calls_are_reasoning() -> None:
    chunks = read(
        say("content-start", 0, content={"type": "thinking", "thinking": "H"}),
        say("content-delta", 0, content={"thinking": "m"}),
        say("tool-plan-delta", tool_plan="; find"),
        ended("COMPLETE"),
    )
    assert joined(chunks, "reasoning_content") == "Hm; find"


def test_tool_calls_come_in_pieces_and_one_without_arguments_has_none() -> None:
    chunks = read(
        say("tool-call-start", 0, tool_calls=call("c1", "find")),
        say("tool-call-delta", 0, tool_calls=more('{"a":')),
        say("tool-call-delta", 0, tool_calls=more("1}")),
        say("tool-call-end", 0),
        say("tool-call-start", 1, tool_calls=call("c2", "now")),
        say("tool-call-end", 1),
        ended("TOOL_CALL"),
    )
    assert arguments(chunks) == {0: '{"a":1}', 1: "{}"}
    assert chunks[1].choices[0].delta.tool_calls[0]["id"] == "c1"
    assert reasons(chunks) == ["tool_calls"]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("BORED", "stop"),
    ],
)
def test_every_finish_reason_has_a_word(reason: str, told: str) -> None:
    assert reasons(read(ended(reason))) == [told]


@pytest.mark.parametrize("method", ["read", "skim"])
@pytest.mark.parametrize(
    "said",
    [
        {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {"start": 1}}}},
        {"type": "citation-end", "index": 0},
        {"type": "debug", "prompt": "x"},
        {"type": "an-event-of-the-future", "delta": "what?"},
    ],
)
def test_what_has_no_words_here_says_nothing_and_breaks_nothing(
    said: dict[str, Any], method: str
) -> None:
    chunk = getattr(CohereProvider().reader(), method)(event(said))
    assert (chunk.says_something, chunk.ends) == (False, False)


@pytest.mark.parametrize("method", ["read", "skim"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"type":"content-del upstream error', "malformed_chunk"),
        (b'{"type":"debug","x":"\xff"}', "malformed_chunk"),
        (b"{}", "malformed_chunk"),
        (msgspec.json.encode(ended("ERROR", error="oops")), "provider_error_in_stream"),
        (msgspec.json.encode(ended("TIMEOUT")), "provider_error_in_stream"),
        (
            msgspec.json.encode(ended("ERROR", error="too many tokens: 9")),
            "context_length_exceeded",
        ),
    ],
)
def test_garbage_and_an_end_that_is_an_error_are_failures(
    data: bytes, code: str, method: str
) -> None:
    with pytest.raises(Failure) as caught:
        getattr(CohereProvider().reader(), method)(SseEvent(data, b"x"))
    assert caught.value.code == code


def test_skimming_sees_the_end() -> None:
    assert CohereProvider().reader().skim(event(ended("COMPLETE"))).ends


def whole(reason: str = "COMPLETE", **message: Any) -> bytes:
    said = {"role": "assistant"} | message
    return msgspec.json.encode(
        {"id": "x", "finish_reason": reason, "message": said, "usage": USAGE}
    )


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_a_whole_answer_that_failed_is_a_failure(reason: str) -> None:
    failure = failure_of(CohereProvider(), whole(reason))
    assert (failure.code, failure.stage) == ("provider_error_in_stream", "provider_call")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"message":{}}', b"\xff", b"[" * 10_000])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    assert failure_of(CohereProvider(), body).code == "malformed_answer"


def test_an_answer_in_its_own_format_is_not_touched() -> None:
    body = whole(content=[{"type": "text", "text": "x"}], of_the_future=1)
    assert CohereProvider().check_whole(body) == body


@given(texts, texts, given_arguments, st.integers(1, 9))
def test_a_streamed_answer_says_what_the_same_one_says_whole(
    thoughts: list[str], words: list[str], called_with: str, size: int
) -> None:
    chunks = read(
        *[say("tool-plan-delta", tool_plan=text) for text in thoughts],
        *[say("content-delta", 0, content={"text": text}) for text in words],
        say("tool-call-start", 0, tool_calls=call("c", "f")),
        *[say("tool-call-delta", 0, tool_calls=more(each)) for each in pieces(called_with, size)],
        say("tool-call-end", 0),
        ended("TOOL_CALL"),
        checked=False,
    )
    body = whole(
        "TOOL_CALL",
        tool_plan="".join(thoughts),
        content=[{"type": "text", "text": text} for text in words],
        tool_calls=[call("c", "f", called_with)],
    )
    completion = CohereProvider().as_completion(body)
    assert_same(chunks, completion)
    called = msgspec.json.decode(completion)["choices"][0]["message"]["tool_calls"][0]
    assert arguments(chunks)[0] == called["function"]["arguments"]
