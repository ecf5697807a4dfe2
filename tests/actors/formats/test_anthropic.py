"""Anthropic's answers: events as the official SDK types them, into the words all formats share."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
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
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.format import Chunk
from sluice.actors.formats.sse import SseEvent

BLOCKED = msgspec.json.encode({
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "Output blocked by content filtering policy",
    },
})  # fmt: skip
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}
BEGUN: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
    "stop_reason": None, "stop_sequence": None, "usage": USAGE | {"output_tokens": 1},
}  # fmt: skip


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **said: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind} | said}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, **usage: Any) -> list[dict[str, Any]]:
    change = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": change, "usage": {"output_tokens": 7} | usage},
        {"type": "message_stop"},
    ]


def read(*events: dict[str, Any], checked: bool = True) -> list[Chunk]:
    """All that a stream says; its events are what the SDK takes for such."""
    begun = {"type": "message_start", "message": BEGUN}
    reader = AnthropicProvider().reader()
    for each in (begun, *events):
        if checked:
            EVENTS.validate_python(each)
    return [reader.read(event(each)) for each in (begun, *events)]


def test_text_comes_with_its_role_first_and_its_end_and_usage_last() -> None:
    chunks = read(
        start(0, type="text", text=""),
        delta(0, "text_delta", text="Hel"),
        delta(0, "text_delta", text="lo"),
        stop(0),
        *ended("end_turn"),
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert not chunks[0].says_something
    assert joined(chunks, "content") == "Hello"
    assert reasons(chunks) == ["stop"]
    assert [chunk.ends for chunk in chunks] == [False] * 6 + [True]
    assert chunks[-2].usage == {
        "prompt_tokens": 17,
        "completion_tokens": 7,
        "total_tokens": 24,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
    }


def test_thinking_is_reasoning_and_its_signature_goes_beside_it() -> None:
    chunks = read(
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm"),
        delta(0, "signature_delta", signature="sig"),
        stop(0),
        *ended("end_turn", output_tokens_details={"thinking_tokens": 3}),
    )
    assert joined(chunks, "reasoning_content") == "Hm"
    assert joined(chunks, "reasoning_signature") == "sig"
    assert [chunk.says_something for chunk in chunks[:4]] == [False, False, True, False]
    assert chunks[-2].usage["completion_tokens_details"] == {"reasoning_tokens": 3}


def test_tool_calls_are_counted_by_themselves_and_one_without_arguments_has_none() -> None:
    chunks = read(
        start(0, type="text", text=""),
        stop(0),
        start(1, type="tool_use", id="toolu_1", name="find", input={}),
        delta(1, "input_json_delta", partial_json=""),
        delta(1, "input_json_delta", partial_json='{"a":'),
        delta(1, "input_json_delta", partial_json="1}"),
        stop(1),
        start(2, type="tool_use", id="toolu_2", name="now", input={}),
        stop(2),
        *ended("tool_use"),
    )
    assert arguments(chunks) == {0: '{"a":1}', 1: "{}"}
    begun = [c.choices[0].delta.tool_calls[0] for c in chunks if joined_ids(c)]
    assert [(call["id"], call["function"]["name"]) for call in begun] == [
        ("toolu_1", "find"),
        ("toolu_2", "now"),
    ]
    assert reasons(chunks) == ["tool_calls"]


def joined_ids(chunk: Chunk) -> bool:
    return any(call.get("id") for c in chunk.choices for call in c.delta.tool_calls or ())


def test_what_a_tool_of_the_providers_own_is_called_with_is_no_part_of_another_call() -> None:
    chunks = read(
        start(0, type="tool_use", id="toolu_1", name="find", input={}),
        delta(0, "input_json_delta", partial_json='{"a":1}'),
        stop(0),
        start(1, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(1, "input_json_delta", partial_json='{"query":"x"}'),
        stop(1),
        *ended("tool_use"),
    )
    assert arguments(chunks) == {0: '{"a":1}'}


def test_why_the_model_refused_is_told_with_the_end() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "I will not."}
    delta_, end = ended("refusal")
    chunks = read(delta_ | {"delta": delta_["delta"] | {"stop_details": details}}, end)
    assert (joined(chunks, "refusal"), reasons(chunks)) == ("I will not.", ["content_filter"])
    body = msgspec.json.decode(whole(reason="refusal")) | {"stop_details": details}
    Message.model_validate(body)
    told = msgspec.json.decode(AnthropicProvider().as_completion(msgspec.json.encode(body)))
    assert told["choices"][0]["message"]["refusal"] == "I will not."


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_every_stop_reason_has_a_word(reason: str, told: str) -> None:
    assert reasons(read(*ended(reason))) == [told]


def test_a_stop_reason_that_nobody_knows_yet_is_a_stop() -> None:
    assert reasons(read(*ended("bored"), checked=False)) == ["stop"]


def test_an_end_without_a_reason_gets_one() -> None:
    assert reasons(read({"type": "message_stop"})) == ["stop"]


@pytest.mark.parametrize("method", ["read", "skim"])
@pytest.mark.parametrize(
    "said",
    [
        {"type": "ping"},
        {"type": "an_event_of_the_future", "delta": "what?"},
        delta(0, "citations_delta", citation={"type": "x"}),
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        start(0, type="redacted_thinking", data="x"),
    ],
)
def test_what_has_no_words_here_says_nothing_and_breaks_nothing(
    said: dict[str, Any], method: str
) -> None:
    chunk = getattr(AnthropicProvider().reader(), method)(event(said))
    assert (chunk.says_something, chunk.ends) == (False, False)


@pytest.mark.parametrize("method", ["read", "skim"])
@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b'{"type":"content_blo upstream error', b"content_block_delta", "malformed_chunk"),
        (b'{"type":"ping","x":"\xff"}', b"ping", "malformed_chunk"),
        (b'{"typ":"ping"}', b"ping", "malformed_chunk"),
        (b"[" * 10_000, b"ping", "malformed_chunk"),
        (b"Overloaded", b"error", "provider_error_in_stream"),
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            b"error",
            "provider_error_in_stream",
        ),
        (
            BLOCKED,
            b"error",
            "content_policy",
        ),
    ],
)
def test_garbage_and_errors_in_the_stream_are_failures(
    data: bytes, name: bytes, code: str, method: str
) -> None:
    with pytest.raises(Failure) as caught:
        getattr(AnthropicProvider().reader(), method)(SseEvent(data, name))
    assert caught.value.code == code


def test_skimming_sees_the_end() -> None:
    assert AnthropicProvider().reader().skim(event({"type": "message_stop"})).ends


def whole(*content: dict[str, Any], reason: str = "end_turn", checked: bool = True) -> bytes:
    usage = USAGE | {"output_tokens": 7}
    message = BEGUN | {"content": list(content), "stop_reason": reason, "usage": usage}
    if checked:
        Message.model_validate(message)
    return msgspec.json.encode(message)


def test_a_whole_message_is_a_completion() -> None:
    body = whole(
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"a": 1}},
        reason="tool_use",
    )
    told = msgspec.json.decode(AnthropicProvider().as_completion(body))
    message = told["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello", "Hm")
    assert message["reasoning_signature"] == "sig"
    function = {"name": "find", "arguments": '{"a":1}'}
    assert message["tool_calls"] == [{"id": "toolu_1", "type": "function", "function": function}]
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    assert (told["usage"]["prompt_tokens"], told["model"]) == (17, "claude")
    assert AnthropicProvider().check_whole(body) == body


def test_arguments_keep_every_digit() -> None:
    huge = b"1234567890123456789012345678901234567890"
    body = whole({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 7}})
    told = AnthropicProvider().as_completion(body.replace(b"7}", huge + b"}"))
    assert huge in told
    begun = start(0, type="tool_use", id="t", name="f", input={"a": 7})
    said = SseEvent(msgspec.json.encode(begun).replace(b"7}", huge + b"}"), b"content_block_start")
    chunks = [AnthropicProvider().reader().read(said)]
    assert arguments(chunks) == {0: f'{{"a":{huge.decode()}}}'}


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"content":"x"}', b"\xff", b'{"content":["\xff"]}', b"[" * 10_000]
)
def test_what_is_no_message_is_malformed(body: bytes) -> None:
    assert failure_of(AnthropicProvider(), body).code == "malformed_answer"


@given(texts, texts, given_arguments, st.integers(1, 9))
def test_a_streamed_answer_says_what_the_same_one_says_whole(
    thoughts: list[str], words: list[str], called_with: str, size: int
) -> None:
    chunks = read(
        *[delta(0, "thinking_delta", thinking=text) for text in thoughts],
        *[delta(1, "text_delta", text=text) for text in words],
        start(2, type="tool_use", id="t", name="f", input={}),
        *[delta(2, "input_json_delta", partial_json=each) for each in pieces(called_with, size)],
        stop(2),
        *ended("tool_use", **USAGE),
        checked=False,
    )
    body = whole(
        {"type": "thinking", "thinking": "".join(thoughts), "signature": "s"},
        {"type": "text", "text": "".join(words)},
        {"type": "tool_use", "id": "t", "name": "f", "input": msgspec.json.decode(called_with)},
        reason="tool_use",
        checked=False,
    )
    assert_same(chunks, AnthropicProvider().as_completion(body))
