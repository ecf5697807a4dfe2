"""What the simulator says in OpenAI's format, read by OpenAI's own types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from sluice.ops.simulator.openai import OpenAI
from sluice.ops.simulator.options import Options
from sluice.ops.simulator.simulation import Simulation
from sluice.ops.simulator.steps import Finish, Start

USER = {"role": "user", "content": "How is the weather?"}


def ask(**request: Any) -> tuple[int, bytes]:
    """Status and body; of one write, as there is no delay."""
    body = {"model": "sim-ok?chunks=4", "messages": [USER]} | request
    simulation = Simulation(1, Options())
    start, finish = simulation.respond(OpenAI(), json.dumps(body).encode(), []).plan
    assert isinstance(start, Start)
    assert isinstance(finish, Finish)
    return start.status, finish.data


def raw_chunks(**request: Any) -> list[dict[str, Any]]:
    status, body = ask(stream=True, **request)
    assert status == 200
    *events, done, rest = body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def chunks(**request: Any) -> list[ChatCompletionChunk]:
    # strict: a type that does not fit is an error; model_construct, as the SDK has it, forgives
    return [
        ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
        for chunk in raw_chunks(**request)
    ]


def whole(**request: Any) -> ChatCompletion:
    status, body = ask(**request)
    assert status == 200
    return ChatCompletion.model_validate_json(body, strict=True)


def error(**request: Any) -> tuple[int, dict[str, Any]]:
    status, body = ask(**request)
    return status, json.loads(body)["error"]


def test_a_stream_begins_with_the_role_and_ends_with_the_reason() -> None:
    first, *texts, last = chunks()
    assert first.choices[0].delta.role == "assistant"
    assert [bool(chunk.choices[0].delta.content) for chunk in texts] == [True] * 4
    assert last.choices[0].finish_reason == "stop"
    assert {chunk.id for chunk in texts} == {first.id}
    assert first.id.startswith("chatcmpl-")
    assert first.model == "sim-ok?chunks=4"


def test_usage_comes_last_if_asked_for_and_is_null_before() -> None:
    *others, last = raw_chunks(stream_options={"include_usage": True})
    assert {json.dumps(chunk["usage"]) for chunk in others} == {"null"}
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + 4


def test_usage_is_absent_if_not_asked_for() -> None:
    assert not any("usage" in chunk for chunk in raw_chunks())


def test_obfuscation_evens_out_the_frames_and_can_be_switched_off() -> None:
    assert all("obfuscation" in chunk for chunk in raw_chunks())
    plain = raw_chunks(stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in chunk for chunk in plain)


def test_a_whole_answer_says_what_a_stream_would() -> None:
    answer = whole()
    told = "".join(c.choices[0].delta.content or "" for c in chunks())
    assert answer.choices[0].message.content == told
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


@pytest.mark.parametrize("stream", [True, False])
def test_each_of_several_choices_says_something_else(stream: bool) -> None:
    texts: dict[int, str] = {}
    if stream:
        for chunk in chunks(n=3):
            choice = chunk.choices[0]
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    else:
        texts = {c.index: c.message.content or "" for c in whole(n=3).choices}
    assert sorted(texts) == [0, 1, 2]
    assert len(set(texts.values())) == 3


def test_choices_of_a_stream_take_turns() -> None:
    indexes = [chunk.choices[0].index for chunk in chunks(n=2)]
    assert indexes == [0, 1] * 6


def test_log_probabilities_belong_to_the_tokens() -> None:
    for chunk in chunks(logprobs=True, top_logprobs=2)[1:-1]:
        logprobs = chunk.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        assert logprobs.content[0].token == chunk.choices[0].delta.content
        assert len(logprobs.content[0].top_logprobs) == 2
    told = whole(logprobs=True).choices[0].logprobs
    assert told is not None
    assert len(told.content or []) == 4


def test_a_tool_call_comes_with_its_id_first_and_its_arguments_in_pieces() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    first, begin, *pieces, last = chunks(model="sim-tool", tools=tools)
    assert first.choices[0].delta.content is None
    (call,) = begin.choices[0].delta.tool_calls or []
    assert call.function is not None
    assert (call.index, call.type, call.function.name) == (0, "function", "weather")
    assert (call.id or "").startswith("call_")
    parts = [(p.choices[0].delta.tool_calls or [])[0].function for p in pieces]
    arguments = "".join(part.arguments or "" for part in parts if part)
    assert "location" in json.loads(arguments)
    assert last.choices[0].finish_reason == "tool_calls"


def test_several_tool_calls_are_told_apart_by_their_index() -> None:
    calls = whole(model="sim-tool?tool_calls=2").choices[0].message.tool_calls
    assert calls is not None
    assert len({call.id for call in calls}) == 2
    deltas = [c.choices[0].delta.tool_calls for c in chunks(model="sim-tool?tool_calls=2")]
    assert {delta[0].index for delta in deltas if delta} == {0, 1}


def test_a_tool_is_called_when_the_request_insists_and_not_after_its_result() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    result = [USER, {"role": "tool", "content": "rain"}]
    assert whole(tools=tools, tool_choice="required").choices[0].finish_reason == "tool_calls"
    assert whole(tools=tools).choices[0].finish_reason == "stop"
    assert whole(model="sim-tool", messages=result).choices[0].finish_reason == "stop"
    assert whole(model="sim-tool", tool_choice="none").choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    "request_", [{"model": "sim-reasoning?chunks=2"}, {"reasoning_effort": "high"}]
)
def test_reasoning_comes_before_the_text(request_: dict[str, Any]) -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in raw_chunks(**request_)]
    kinds = ["reasoning_content" in delta for delta in deltas[1:-1]]
    assert kinds == sorted(kinds, reverse=True)
    assert sum(kinds) == 5
    answer = whole(**request_)
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5


def test_a_limit_shortens_the_answer() -> None:
    answer = whole(max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_content_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert whole(messages=[{"role": "user", "content": parts}]).choices[0].message.content


@pytest.mark.parametrize(
    ("request_", "param", "code", "message"),
    [
        ({"messages": "hi"}, "messages", "invalid_type", "Expected `array`"),
        ({"messages": [{"role": "nobody"}]}, "messages[0].role", None, "Invalid enum value"),
        ({"n": 0}, "n", "invalid_type", ">= 1"),
        ({"temperature": 3}, "temperature", "invalid_type", "<= 2"),
        ({"stream_options": {}}, "stream_options", None, "only allowed when 'stream'"),
        ({"top_logprobs": 1}, "top_logprobs", None, "only allowed when 'logprobs'"),
    ],
)
def test_a_mistake_in_a_request_is_named(
    request_: dict[str, Any], param: str, code: str | None, message: str
) -> None:
    status, told = error(**request_)
    assert (status, told["type"]) == (400, "invalid_request_error")
    assert (told["param"], told["code"]) == (param, code)
    assert message.replace("`", "") in told["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "could not parse the JSON body"),
        (b"\xff", "could not parse the JSON body"),
        (b'{"messages":[{"role":"user","content":"x"}]}', "you must provide a model parameter"),
        (b'{"model":"sim-ok"}', "Missing required parameter: 'messages'."),
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, message: str) -> None:
    start, finish = Simulation(1, Options()).respond(OpenAI(), body, []).plan
    assert isinstance(start, Start)
    assert isinstance(finish, Finish)
    assert start.status == 400
    assert message in json.loads(finish.data)["error"]["message"]


def test_an_unknown_model_is_told_as_openai_does() -> None:
    status, told = error(model="gpt-4o")
    assert (status, told["code"]) == (404, "model_not_found")
    assert "`gpt-4o`" in told["message"]
