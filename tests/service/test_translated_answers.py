"""A client that speaks OpenAI's format, served by providers that speak Anthropic's and Cohere's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.http.edge_world import Answer
from tests.service.operators_world import total
from tests.service.telling import events_of, outcome_of, text_of
from tests.service.world import World, open_world

TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {}}},
}
FORMATS = pytest.mark.parametrize("provider_format", ["anthropic", "cohere"])


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    return [event.json for event in events_of(answer) if event.data != "[DONE]"]


def check_stream(answer: Answer) -> list[dict[str, Any]]:
    """One unbroken stream: one id, model and time, the role once, one reason, one usage."""
    assert outcome_of(answer) == "whole"
    chunks = chunks_of(answer)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices].count("assistant") == 1
    assert choices[0]["delta"]["role"] == "assistant"
    assert len([choice for choice in choices if choice["finish_reason"]]) == 1
    assert choices[-1]["finish_reason"]
    assert [not chunk["choices"] for chunk in chunks].count(True) == 1
    assert chunks[-1]["usage"]["total_tokens"] > 0
    return choices


async def streamed(world: World, model: str, **fields: Any) -> Answer:
    return await world.ask(model, stream_options={"include_usage": True}, **fields)


@FORMATS
async def test_text_and_reasoning_stream_through(provider_format: str) -> None:
    async with open_world(provider_format=provider_format) as world:
        model = "sim-ok?chunks=12&same=1&reasoning=3"
        answer = await streamed(world, model, reasoning_effort="low")
        choices = check_stream(answer)
        assert len(text_of(answer).split()) == 12
        assert any(choice["delta"].get("reasoning_content") for choice in choices)
        assert choices[-1]["finish_reason"] == "stop"
        assert chunks_of(answer)[0]["model"] == model
        without_usage = await world.ask(model)
        assert b"usage" not in without_usage.body


@FORMATS
async def test_a_tool_call_streams_through(provider_format: str) -> None:
    async with open_world(provider_format=provider_format) as world:
        choices = check_stream(await streamed(world, "sim-tool", tools=[TOOL]))
        calls = [each for choice in choices for each in choice["delta"].get("tool_calls") or ()]
        assert calls[0]["function"]["name"] == "find"
        assert calls[0]["id"]
        assert {call["index"] for call in calls} == {0}
        arguments = "".join(call["function"].get("arguments", "") for call in calls)
        assert isinstance(msgspec.json.decode(arguments), dict)
        assert choices[-1]["finish_reason"] == "tool_calls"


@FORMATS
async def test_whole_answers_are_told_in_openais_words(provider_format: str) -> None:
    async with open_world(provider_format=provider_format) as world:
        answer = await world.ask("sim-ok?chunks=12&same=1", stream=False)
        assert outcome_of(answer) == "whole"
        said = ChatCompletion.model_validate(msgspec.json.decode(answer.body), strict=True)
        assert len((said.choices[0].message.content or "").split()) == 12
        assert said.usage is not None
        call = await world.ask("sim-tool", stream=False, tools=[TOOL])
        called = ChatCompletion.model_validate(msgspec.json.decode(call.body), strict=True)
        assert called.choices[0].finish_reason == "tool_calls"
        assert called.choices[0].message.tool_calls


@FORMATS
async def test_our_own_stream_is_served_too(provider_format: str) -> None:
    async with open_world(provider_format=provider_format) as world:
        answer = await world.get("/stream?model=sim-ok%3Fchunks%3D5&prompt=hi")
        world.saw(answer)
        names = [event.name for event in events_of(answer)]
        assert names[-1] == "done"
        assert "usage" in names


FAULTS = {
    "sim-cut": "provider_cut",
    "sim-garbage": "malformed_chunk",
    "sim-error-in-stream": "provider_error_in_stream",
    "sim-no-end": "provider_no_end",
    "sim-429-retry-after": "provider_rate_limited",
    "sim-503": "provider_unavailable",
    "sim-context-length": "context_length_exceeded",
    "sim-content-policy": "content_policy_violation",
    "sim-404": "model_not_found",
}


@FORMATS
async def test_faults_have_the_codes_that_they_have_in_openais_format(provider_format: str) -> None:
    async with open_world(provider_format=provider_format) as world:
        assert {model: outcome_of(await world.ask(model)) for model in FAULTS} == FAULTS


@FORMATS
async def test_what_cannot_be_said_is_refused_before_anybody_is_called(
    provider_format: str,
) -> None:
    async with open_world(provider_format=provider_format) as world:
        answer = await world.ask("sim-ok", n=2)
        assert (answer.status, outcome_of(answer)) == (400, "untranslatable")
        assert msgspec.json.decode(answer.body)["error"]["param"] == "n"
        assert total(await world.samples(), "sse_provider_requests_total") == 0
