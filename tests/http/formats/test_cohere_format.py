"""Events and responses for Cohere's clients, checked with the types of its SDK."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from cohere.v2.types.v2chat_response import V2ChatResponse
from cohere.v2.types.v2chat_stream_response import V2ChatStreamResponse
from hypothesis import given
from tests.http.said import (
    BROKEN,
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
from sluice.http.formats.cohere_format import CohereClient

TYPES = {
    each.model_fields["type"].default: each for each in get_args(get_args(V2ChatStreamResponse)[0])
}
TOKENS = {"input_tokens": 12, "output_tokens": 7}


def parts_in(events: list[Event]) -> list[tuple[str, str, str]]:
    """What a stream says, as (kind, name, all of it). Whatever is out of order fails."""
    for event in events:
        data = msgspec.json.decode(event.data)
        TYPES[data["type"]].model_validate(data)
        assert data["type"].encode() == event.name
    first, *middle, last = datas(events)
    assert (first["type"], last["type"]) == ("message-start", "message-end")
    parts: list[tuple[str, str, str]] = []
    counts = {"content": 0, "tool-call": 0}
    open_: str | None = None
    for event in middle:
        family, _, step = event["type"].rpartition("-")
        index = counts[family] - (step != "start")
        assert (event["index"], open_) == (index, None if step == "start" else family)
        if step == "start":
            counts[family] += 1
            open_ = family
            parts.append(_start(family, event["delta"]["message"]))
        elif step == "delta":
            kind, name, text = parts[-1]
            parts[-1] = (kind, name, text + _more(kind, event["delta"]["message"]))
        else:
            open_ = None
    assert open_ is None
    return parts


def _start(family: str, message: dict[str, Any]) -> tuple[str, str, str]:
    if family == "content":
        return (message["content"]["type"], "", "")
    return ("call", message["tool_calls"]["function"]["name"], "")


def _more(kind: str, message: dict[str, Any]) -> str:
    if kind == "call":
        arguments: str = message["tool_calls"]["function"]["arguments"]
        return arguments
    text: str = message["content"][kind]
    return text


@given(things)
def test_whatever_is_said_is_told_in_parts_one_after_the_other(said: list[Said]) -> None:
    assert parts_in(told(CohereClient(), chunks(said))) == merged(said)


@pytest.mark.parametrize(
    ("reason", "told_as"),
    [
        ("stop", "COMPLETE"),
        ("length", "MAX_TOKENS"),
        ("tool_calls", "TOOL_CALL"),
        ("content_filter", "ERROR"),
        ("eos", "COMPLETE"),
    ],
)
def test_the_last_event_tells_the_reason_for_the_end_and_the_usage(
    reason: str, told_as: str
) -> None:
    *_, end = datas(told(CohereClient(), chunks([], reason)))
    usage = {"billed_units": TOKENS, "tokens": TOKENS, "cached_tokens": 4}
    assert end["delta"] == {"finish_reason": told_as, "usage": usage}


def test_an_answer_that_calls_a_tool_ends_for_that_although_openai_calls_it_a_stop() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    events = told(CohereClient(), [chunk({"tool_calls": [call]}), chunk(reason="stop")])
    whole = whole_from(CohereClient(), {"tool_calls": [call]})
    assert datas(events)[-1]["delta"]["finish_reason"] == "TOOL_CALL"
    assert msgspec.json.decode(whole)["finish_reason"] == "TOOL_CALL"


def test_a_reason_that_is_empty_is_none() -> None:
    said = [chunk({"content": piece}, reason="") for piece in ("On", "ce")]
    events = told(CohereClient(), [*said, chunk(reason="length")])
    assert parts_in(events) == [("text", "", "Once")]
    assert datas(events)[-1]["delta"]["finish_reason"] == "MAX_TOKENS"


def test_a_refusal_is_text() -> None:
    events = told(CohereClient(), [chunk({"refusal": "I will not."}), chunk(reason="stop")])
    assert parts_in(events) == [("text", "", "I will not.")]


def test_calls_without_an_id_get_one() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": "{}"}}
    events = told(CohereClient(), [chunk({"tool_calls": [call]})])
    assert parts_in(events) == [("call", "f", "{}")]
    assert len(datas(events)[1]["delta"]["message"]["tool_calls"]["id"]) > 30


@pytest.mark.parametrize("arguments", ["", None])
def test_a_call_without_arguments_says_that_they_are_an_empty_object(arguments: str | None) -> None:
    one = {"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}
    two = {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"x":1}'}}
    events = told(CohereClient(), [chunk({"tool_calls": [one, two]}), chunk(reason="tool_calls")])
    assert parts_in(events) == [("call", "f", "{}"), ("call", "g", '{"x":1}')]


@pytest.mark.parametrize("delta", [{"content": ["Hi"]}, {"tool_calls": [{"index": "first"}]}])
def test_a_delta_that_is_not_openais_ends_the_answer_honestly(delta: dict[str, Any]) -> None:
    with pytest.raises(Failure) as raised:
        CohereClient().compose(None, chunk(delta))
    assert (raised.value.code, raised.value.status) == ("malformed_answer", 502)


# -- the same format on both sides -------------------------------------------------------------


def test_events_of_the_format_itself_pass_as_they_are() -> None:
    events = [
        Event(b'{"type": "message-start", "x_new": 1}', b"message-start"),
        Event(b'{ "type":"content-delta" }', b"content-delta"),
        Event(b'{"type":"citation-start","index":0}', b"citation-start"),
        Event(b'{"type":"message-end"}', b"message-end"),
    ]
    assert passed(CohereClient(), events) == events


@given(things, things)
def test_an_answer_that_another_provider_goes_on_with_stays_one_valid_answer(
    before: list[Said], after: list[Said]
) -> None:
    begun = told(CohereClient(), chunks(before))[:-1]
    client = CohereClient()
    passed(client, begun)
    assert parts_in([*begun, *told(client, chunks(after))]) == merged(before) + merged(after)


def test_text_that_another_provider_goes_on_with_stays_one_part() -> None:
    begun = told(CohereClient(), chunks([Said("text", ("Wa",))]))[:-2]
    client = CohereClient()
    passed(client, begun)
    events = [*begun, *told(client, chunks([Said("text", ("ter",))]))]
    assert parts_in(events) == [("text", "", "Water")]


def test_an_event_that_cannot_be_read_is_not_taken_for_a_part() -> None:
    with pytest.raises(Failure, match="malformed"):
        passed(CohereClient(), [Event(b"{}", b"content-start")])


# -- whole answers, and failures ---------------------------------------------------------------


def whole(message: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    """The response made of a completion."""
    made = whole_from(CohereClient(), message, reason)
    V2ChatResponse.model_validate_json(made)
    decoded: dict[str, Any] = msgspec.json.decode(made)
    return decoded


def test_a_whole_answer_is_a_response() -> None:
    made = whole({"content": "Hi", "reasoning_content": "Hm"})
    content = [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]
    assert made["message"] == {"role": "assistant", "content": content}
    assert made["finish_reason"] == "COMPLETE"
    assert made["usage"]["tokens"] == TOKENS


def test_a_whole_answer_of_calls_has_no_content() -> None:
    function = {"name": "f", "arguments": '{"x": 1}'}
    call = {"id": "a", "type": "function", "function": function}
    made = whole({"content": None, "tool_calls": [call]}, "tool_calls")
    assert made["message"] == {"role": "assistant", "tool_calls": [call]}
    assert made["finish_reason"] == "TOOL_CALL"


def test_a_completion_that_says_nothing_is_a_response_without_content() -> None:
    made = msgspec.json.decode(CohereClient().whole(b'{"choices":[]}'))
    assert made["message"] == {"role": "assistant", "content": []}


def test_a_body_that_is_no_completion_is_not_told_as_an_answer() -> None:
    with pytest.raises(Failure, match="malformed answer"):
        CohereClient().whole(b'{"choices":[{"message":{"content":7}}]}')


def test_an_error_is_coheres_before_the_first_byte_and_the_end_of_a_stream_after_it() -> None:
    client = CohereClient()
    assert msgspec.json.decode(client.failure_body(BROKEN)) == {"message": "It broke."}
    event = client.failure_event(BROKEN)
    delta = {"error": "It broke.", "finish_reason": "ERROR"}
    assert event.name == b"message-end"
    assert msgspec.json.decode(event.data) == {"type": "message-end", "delta": delta}
