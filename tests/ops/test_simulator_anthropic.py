"""What the simulator says in Anthropic's format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.ops.simulator.anthropic import Anthropic
from sluice.ops.simulator.options import Options
from sluice.ops.simulator.simulation import Simulation
from sluice.ops.simulator.steps import Finish, Headers, Start

USER = {"role": "user", "content": "How is the weather?"}
VERSION: Headers = [(b"anthropic-version", b"2023-06-01")]


def ask(headers: Headers = VERSION, **request: Any) -> tuple[int, bytes]:
    body = {"model": "sim-ok?chunks=3", "max_tokens": 1000, "messages": [USER]} | request
    sent = {name: value for name, value in body.items() if value is not None}
    simulation = Simulation(1, Options())
    start, finish = simulation.respond(Anthropic(), json.dumps(sent).encode(), headers).plan
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


def error(**request: Any) -> tuple[int, str, str]:
    status, body = ask(**request)
    told = json.loads(body)
    assert told["type"] == "error"
    assert told["request_id"].startswith("req_")
    return status, told["error"]["type"], told["error"]["message"]


def test_a_stream_of_text_has_anthropics_sequence() -> None:
    kinds = [event["type"] for event in events()]
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_the_start_has_an_empty_message_and_the_input_tokens() -> None:
    message = events()[0]["message"]
    assert message["id"].startswith("msg_")
    assert (message["content"], message["stop_reason"]) == ([], None)
    assert message["usage"]["input_tokens"] > 0


def test_the_end_tells_why_and_how_many_tokens() -> None:
    delta = events()[-2]
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"]["output_tokens"] == 3


def test_a_whole_answer_says_what_a_stream_would() -> None:
    told = "".join(e["delta"]["text"] for e in events() if e["type"] == "content_block_delta")
    answer = whole()
    assert answer["content"] == [{"type": "text", "text": told}]
    assert answer["stop_reason"] == "end_turn"
    assert answer["usage"]["output_tokens"] == 3


def test_tools_are_blocks_of_their_own_whose_input_comes_in_pieces() -> None:
    tools = [{"name": "weather", "input_schema": {"properties": {"days": {"type": "integer"}}}}]
    found = events(model="sim-tool?tool_calls=2", tools=tools)
    starts = [event for event in found if event["type"] == "content_block_start"]
    assert [start["index"] for start in starts] == [0, 1]
    assert {start["content_block"]["name"] for start in starts} == {"weather"}
    assert all(start["content_block"]["id"].startswith("toolu_") for start in starts)
    for index in (0, 1):
        deltas = [e["delta"] for e in found if e.get("index") == index and "delta" in e]
        assert json.loads("".join(delta["partial_json"] for delta in deltas)) == {"days": 3}
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    calls = whole(model="sim-tool", tools=tools)["content"]
    assert [call["input"] for call in calls] == [{"days": 3}]


@pytest.mark.parametrize(
    "request_",
    [
        {"model": "sim-reasoning?chunks=2"},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ],
)
def test_thinking_is_a_block_that_is_signed(request_: dict[str, Any]) -> None:
    found = events(**request_)
    starts = [e["content_block"]["type"] for e in found if e["type"] == "content_block_start"]
    assert starts == ["thinking", "text"]
    thoughts = [e["delta"]["type"] for e in found if e.get("index") == 0 and "delta" in e]
    assert thoughts == ["thinking_delta"] * 5 + ["signature_delta"]
    blocks = whole(**request_)["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text"]
    assert blocks[0]["signature"]


def test_a_tool_is_called_when_the_request_insists_and_not_after_its_result() -> None:
    tools = [{"name": "weather"}]
    result = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]
    assert whole(tools=tools, tool_choice={"type": "any"})["stop_reason"] == "tool_use"
    assert whole(model="sim-tool", messages=result)["stop_reason"] == "end_turn"


def test_the_limit_ends_an_answer() -> None:
    assert whole(max_tokens=2)["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Invalid enum"),
        ({"headers": []}, "anthropic-version: header is required"),
        (
            {"messages": [USER, {"role": "assistant", "content": "It is "}]},
            "final assistant content cannot end with trailing whitespace",
        ),
    ],
)
def test_a_mistake_in_a_request_is_named(request_: dict[str, Any], message: str) -> None:
    status, kind, told = error(**request_)
    assert (status, kind) == (400, "invalid_request_error")
    assert message in told


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("claude", 404, "not_found_error"),
        ("sim-401", 401, "authentication_error"),
        ("sim-429", 429, "rate_limit_error"),
        ("sim-500", 500, "api_error"),
        ("sim-529", 529, "overloaded_error"),
        ("sim-context-length", 400, "invalid_request_error"),
    ],
)
def test_errors_have_anthropics_types(model: str, status: int, kind: str) -> None:
    assert error(model=model)[:2] == (status, kind)


def test_an_error_in_a_stream_is_an_event() -> None:
    *_, last = events(model="sim-error-in-stream")
    assert last["type"] == "error"
    assert last["error"]["type"] == "overloaded_error"
