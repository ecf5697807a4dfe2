"""What the simulator says in Cohere's format."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from sluice.ops.simulator.cohere import Cohere
from sluice.ops.simulator.options import Options
from sluice.ops.simulator.simulation import Simulation
from sluice.ops.simulator.steps import Finish, Start

USER = {"role": "user", "content": "How is the weather?"}


def ask(**request: Any) -> tuple[int, bytes]:
    body = {"model": "sim-ok?chunks=3", "messages": [USER]} | request
    simulation = Simulation(1, Options())
    start, finish = simulation.respond(Cohere(), json.dumps(body).encode(), []).plan
    assert isinstance(start, Start)
    assert isinstance(finish, Finish)
    return start.status, finish.data


def whole(**request: Any) -> dict[str, Any]:
    status, body = ask(**request)
    assert status == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


def events(**request: Any) -> list[dict[str, Any]]:
    """The events, each of which is named as its data says."""
    status, body = ask(stream=True, **request)
    assert status == 200
    *blocks, rest = body.decode().split("\n\n")
    assert rest == ""
    found = []
    for block in blocks:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_a_stream_of_text_has_coheres_sequence() -> None:
    kinds = [event["type"] for event in events()]
    assert kinds == [
        "message-start",
        "content-start",
        *["content-delta"] * 3,
        "content-end",
        "message-end",
    ]


def test_the_start_has_an_id_and_the_end_the_usage() -> None:
    start, *_, end = events()
    assert str(uuid.UUID(start["id"])) == start["id"]
    assert end["delta"]["finish_reason"] == "COMPLETE"
    usage = end["delta"]["usage"]
    assert usage["billed_units"]["output_tokens"] == 3
    assert usage["tokens"]["input_tokens"] > usage["billed_units"]["input_tokens"]


def test_a_whole_answer_says_what_a_stream_would() -> None:
    deltas = [e["delta"]["message"] for e in events() if e["type"] == "content-delta"]
    told = "".join(delta["content"]["text"] for delta in deltas)
    answer = whole()
    assert answer["message"]["content"] == [{"type": "text", "text": told}]
    assert answer["finish_reason"] == "COMPLETE"


def test_tool_calls_come_after_a_plan_and_their_arguments_in_pieces() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    found = events(model="sim-tool?tool_calls=2", tools=tools)
    kinds = [event["type"] for event in found]
    assert kinds.index("tool-plan-delta") < kinds.index("tool-call-start")
    assert kinds.count("tool-call-start") == kinds.count("tool-call-end") == 2
    for index in (0, 1):
        calls = [
            event["delta"]["message"]["tool_calls"]["function"]["arguments"]
            for event in found
            if event.get("index") == index and "delta" in event
        ]
        assert "location" in json.loads("".join(calls))
    assert found[-1]["delta"]["finish_reason"] == "TOOL_CALL"
    message = whole(model="sim-tool", tools=tools)["message"]
    assert message["tool_calls"][0]["function"]["name"] == "weather"
    assert message["tool_plan"]


@pytest.mark.parametrize(
    "request_", [{"model": "sim-reasoning?chunks=2"}, {"thinking": {"type": "enabled"}}]
)
def test_thinking_is_content_of_its_own(request_: dict[str, Any]) -> None:
    found = events(**request_)
    starts = [e["delta"]["message"]["content"] for e in found if e["type"] == "content-start"]
    assert [start["type"] for start in starts] == ["thinking", "text"]
    content = whole(**request_)["message"]["content"]
    assert [block["type"] for block in content] == ["thinking", "text"]


def test_log_probabilities_belong_to_the_pieces() -> None:
    deltas = [e for e in events(logprobs=True) if e["type"] == "content-delta"]
    texts = [delta["delta"]["message"]["content"]["text"] for delta in deltas]
    assert [delta["logprobs"]["text"] for delta in deltas] == texts
    assert [item["text"] for item in whole(logprobs=True)["logprobs"]] == texts


def test_a_tool_is_called_when_the_request_insists_and_not_after_its_result() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    result = [USER, {"role": "tool", "content": "rain"}]
    assert whole(tools=tools, tool_choice="REQUIRED")["finish_reason"] == "TOOL_CALL"
    assert whole(model="sim-tool", messages=result)["finish_reason"] == "COMPLETE"


def test_the_limit_ends_an_answer() -> None:
    assert whole(max_tokens=2)["finish_reason"] == "MAX_TOKENS"


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"messages": "x"}, 400, "invalid request: messages: Expected array"),
        ({"messages": []}, 400, "invalid request: messages: Expected array of length >= 1"),
        ({"model": 3}, 400, "invalid request: model: Expected str"),
        ({"model": "command"}, 404, "model 'command' not found"),
        ({"model": "sim-429"}, 429, "limited to 40 API calls"),
    ],
)
def test_an_error_has_an_id_and_a_message(
    request_: dict[str, Any], status: int, message: str
) -> None:
    answered, body = ask(**request_)
    told = json.loads(body)
    assert answered == status
    assert str(uuid.UUID(told["id"])) == told["id"]
    assert message in told["message"]


def test_an_error_in_a_stream_is_a_message_end() -> None:
    *_, last = events(model="sim-error-in-stream")
    assert last["type"] == "message-end"
    assert last["delta"]["finish_reason"] == "ERROR"
    assert last["delta"]["error"]
