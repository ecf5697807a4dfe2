"""Events and messages for Anthropic's clients, checked with the types of its SDK."""

from __future__ import annotations

from typing import Any

import msgspec
import pydantic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from tests.http.said import (
    BROKEN,
    USAGE,
    Said,
    chunk,
    chunks,
    datas,
    merged,
    passed,
    things,
    told,
    whole_from,
)

from sluice.actors.failures import Failure
from sluice.actors.formats.format import Event
from sluice.http.errors import anthropic_type
from sluice.http.formats.anthropic_format import AnthropicClient

EVENT: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)
KINDS = {"text": "text", "thinking": "thinking", "tool_use": "call"}
DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def blocks_in(events: list[Event]) -> list[tuple[str, str, str]]:
    """The blocks of a stream, as (kind, name, all of it). Whatever is out of order fails."""
    for event in events:
        parsed = EVENT.validate_json(event.data)
        assert parsed.type.encode() == event.name
    first, *middle, delta, last = datas(events)
    assert (first["type"], delta["type"], last) == (
        "message_start",
        "message_delta",
        {"type": "message_stop"},
    )
    blocks: list[tuple[str, str, str]] = []
    is_open = False
    for event in middle:
        if event["type"] == "content_block_start":
            assert not is_open
            assert event["index"] == len(blocks)
            is_open = True
            block = event["content_block"]
            blocks.append((KINDS[block["type"]], block.get("name", ""), ""))
        elif event["type"] == "content_block_delta":
            assert is_open
            assert event["index"] == len(blocks) - 1
            kind, name, text = blocks[-1]
            blocks[-1] = (kind, name, text + event["delta"][DELTAS[event["delta"]["type"]]])
        else:
            assert is_open
            assert event == {"type": "content_block_stop", "index": len(blocks) - 1}
            is_open = False
    assert not is_open
    return blocks


@given(things)
def test_whatever_is_said_is_told_in_blocks_one_after_the_other(said: list[Said]) -> None:
    events = told(AnthropicClient("claude"), chunks(said))
    assert blocks_in(events) == merged(said)


def test_the_first_event_names_the_model_that_was_asked_for() -> None:
    start = datas(told(AnthropicClient("claude"), chunks([])))[0]["message"]
    assert (start["model"], start["role"], start["content"]) == ("claude", "assistant", [])
    assert start["id"].startswith("msg_")
    assert start["stop_reason"] is None
    assert start["usage"]["output_tokens"] == 0


@pytest.mark.parametrize(
    ("reason", "told_as"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("eos", "end_turn"),
    ],
)
def test_the_reason_for_the_end_is_told_in_anthropics_word(reason: str, told_as: str) -> None:
    *_, delta, _ = datas(told(AnthropicClient("claude"), chunks([], reason)))
    assert delta["delta"] == {"stop_reason": told_as, "stop_sequence": None}


def test_an_answer_that_calls_a_tool_ends_for_that_although_openai_calls_it_a_stop() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    events = told(AnthropicClient("claude"), [chunk({"tool_calls": [call]}), chunk(reason="stop")])
    whole = whole_from(AnthropicClient("claude"), {"tool_calls": [call]})
    assert datas(events)[-2]["delta"]["stop_reason"] == "tool_use"
    assert msgspec.json.decode(whole)["stop_reason"] == "tool_use"
    shortened = [chunk({"tool_calls": [call]}), chunk(reason="length")]
    last = datas(told(AnthropicClient("claude"), shortened))[-2]
    assert last["delta"]["stop_reason"] == "max_tokens"


def test_a_reason_that_is_empty_is_none() -> None:
    said = [chunk({"content": piece}, reason="") for piece in ("On", "ce")]
    events = told(AnthropicClient("claude"), [*said, chunk(reason="length")])
    assert blocks_in(events) == [("text", "", "Once")]
    assert datas(events)[-2]["delta"]["stop_reason"] == "max_tokens"


def test_cached_tokens_are_not_counted_among_the_inputs() -> None:
    *_, delta, _ = datas(told(AnthropicClient("claude"), chunks([])))
    assert delta["usage"] == {
        "input_tokens": 8,
        "cache_read_input_tokens": 4,
        "output_tokens": 7,
    }


def test_tokens_written_to_a_cache_and_thought_are_told_apart() -> None:
    usage = USAGE | {
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    *_, delta, _ = datas(told(AnthropicClient("claude"), [chunk(reason="stop", usage=usage)]))
    assert delta["usage"] == {
        "input_tokens": 5,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 3,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_a_refusal_is_text_and_the_reason_for_the_end() -> None:
    stream = [chunk({"refusal": "I will not."}), chunk(reason="stop")]
    events = told(AnthropicClient("claude"), stream)
    assert blocks_in(events) == [("text", "", "I will not.")]
    assert datas(events)[-2]["delta"]["stop_reason"] == "refusal"


def test_the_signature_of_thinking_is_told_in_its_block() -> None:
    stream = [chunk({"reasoning_content": "Hm"}), chunk({"reasoning_signature": "EqQ"})]
    events = datas(told(AnthropicClient("claude"), stream))
    assert [event["type"] for event in events].count("content_block_start") == 1
    assert events[3]["delta"] == {"type": "signature_delta", "signature": "EqQ"}


def test_calls_without_an_id_get_one_and_those_with_one_index_are_told_apart_by_it() -> None:
    one = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    two = {"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}
    bare = {"index": 1, "function": {"name": "h", "arguments": ""}}
    events = told(AnthropicClient("claude"), [chunk({"tool_calls": [one, two, bare]})])
    assert blocks_in(events) == [("call", "f", "{}"), ("call", "g", "{}"), ("call", "h", "")]
    starts = [each for each in datas(events) if each["type"] == "content_block_start"]
    ids = [each["content_block"]["id"] for each in starts]
    assert ids[:2] == ["a", "b"]
    assert len(ids[2]) > 30


@pytest.mark.parametrize(
    "delta",
    [
        {"content": ["Hi"]},
        {"reasoning_content": {"text": "Hm"}},
        {"tool_calls": "get"},
        {"tool_calls": [{"index": "first"}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
    ],
)
def test_a_delta_that_is_not_openais_ends_the_answer_honestly(delta: dict[str, Any]) -> None:
    with pytest.raises(Failure) as raised:
        AnthropicClient("claude").compose(None, chunk(delta))
    assert (raised.value.code, raised.value.status) == ("malformed_answer", 502)


def test_a_piece_of_a_call_that_is_over_is_not_put_into_another() -> None:
    client = AnthropicClient("claude")
    begin = {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}
    client.compose(None, chunk({"tool_calls": [begin]}))
    client.compose(None, chunk({"content": "Meanwhile"}))
    with pytest.raises(Failure, match="malformed"):
        client.compose(None, chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))


# -- the same format on both sides -------------------------------------------------------------


def test_events_of_the_format_itself_pass_as_they_are() -> None:
    events = [
        Event(b'{"type": "message_start", "message": {"x_new": 1}}', b"message_start"),
        Event(b'{"type": "ping"}', b"ping"),
        Event(b'{ "type":"content_block_delta" }', b"content_block_delta"),
        Event(b'{"type":"x_new_event"}', b"x_new_event"),
    ]
    assert passed(AnthropicClient("claude"), events) == events


@given(things, things)
def test_an_answer_that_another_provider_goes_on_with_stays_one_valid_answer(
    before: list[Said], after: list[Said]
) -> None:
    begun = told(AnthropicClient("claude"), chunks(before))[:-2]
    client = AnthropicClient("claude")
    passed(client, begun)
    assert blocks_in([*begun, *told(client, chunks(after))]) == merged(before) + merged(after)


def test_text_that_another_provider_goes_on_with_stays_one_block() -> None:
    begun = told(AnthropicClient("claude"), chunks([Said("text", ("Wa",))]))[:-3]
    client = AnthropicClient("claude")
    passed(client, begun)
    events = [*begun, *told(client, chunks([Said("text", ("ter",))]))]
    assert blocks_in(events) == [("text", "", "Water")]


def test_an_event_that_cannot_be_read_is_not_taken_for_a_block() -> None:
    with pytest.raises(Failure, match="malformed"):
        passed(AnthropicClient("claude"), [Event(b'{"index":0}', b"content_block_start")])


# -- whole answers -----------------------------------------------------------------------------


def whole(message: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    """The message made of a completion."""
    made = whole_from(AnthropicClient("claude"), message, reason)
    Message.model_validate_json(made)
    decoded: dict[str, Any] = msgspec.json.decode(made)
    return decoded


def test_a_whole_answer_is_a_message() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1.50}'}}
    message = {"content": "Hi", "reasoning_content": "Hm", "reasoning_signature": "EqQ"}
    made = whole(message | {"tool_calls": [call]}, "tool_calls")
    assert made["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "EqQ"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1.5}},
    ]
    assert (made["model"], made["stop_reason"]) == ("claude", "tool_use")
    assert made["usage"] == {"input_tokens": 8, "cache_read_input_tokens": 4, "output_tokens": 7}


def test_a_whole_refusal_says_that_it_is_one() -> None:
    made = whole({"content": None, "refusal": "No."})
    assert made["content"] == [{"type": "text", "text": "No."}]
    assert made["stop_reason"] == "refusal"


@pytest.mark.parametrize("arguments", ["{", "[]", "nothing"])
def test_a_call_whose_arguments_are_no_object_is_not_told_as_one(arguments: str) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(Failure) as raised:
        whole({"tool_calls": [call]})
    assert (raised.value.code, raised.value.status) == ("malformed_answer", 502)


def test_a_completion_that_says_nothing_is_an_empty_message() -> None:
    made = msgspec.json.decode(AnthropicClient("claude").whole(b'{"choices":[]}'))
    assert (made["content"], made["stop_reason"]) == ([], "end_turn")


# -- failures ----------------------------------------------------------------------------------


def test_an_error_is_anthropics_before_and_after_the_first_byte() -> None:
    client = AnthropicClient("claude")
    error = {"type": "error", "error": {"type": "api_error", "message": "It broke."}}
    assert msgspec.json.decode(client.failure_body(BROKEN)) == error
    event = client.failure_event(BROKEN)
    assert (event.name, msgspec.json.decode(event.data)) == (b"error", error)
    ErrorResponse.model_validate_json(event.data)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_the_kind_of_an_error_follows_its_status(status: int, kind: str) -> None:
    assert anthropic_type(status) == kind
