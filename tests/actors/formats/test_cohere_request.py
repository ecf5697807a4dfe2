"""OpenAI's requests, said in Cohere's words: as the official SDK types them."""

from __future__ import annotations

from typing import Any

import pytest
from cohere import ChatMessages, ResponseFormatV2, Thinking, ToolV2
from pydantic import TypeAdapter
from tests.actors.formats.asking import (
    CALL,
    FIND,
    HELLO,
    JPEG,
    OTHER,
    SCHEMA,
    TOOLS,
    TURNS,
    refused,
    say,
)

COHERE: dict[str, TypeAdapter[Any]] = {
    "messages": TypeAdapter(ChatMessages),
    "tools": TypeAdapter(list[ToolV2]),
    "response_format": TypeAdapter(ResponseFormatV2),
    "thinking": TypeAdapter(Thinking),
}


def cohere(**fields: Any) -> dict[str, Any]:
    said = say("cohere", **fields)
    for name, kind in COHERE.items():
        if name in said:
            kind.validate_python(said[name])
    return said


def test_cohere_gets_the_conversation_in_nearly_the_same_words() -> None:
    said = cohere(messages=TURNS, tools=TOOLS)
    assert said["tools"] == TOOLS
    assert said["messages"] == [
        *TURNS[:2],
        {"role": "assistant", "tool_calls": [CALL, OTHER]},
        *TURNS[3:],
    ]


def test_cohere_gets_every_option_by_its_name_there() -> None:
    said = cohere(
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        max_completion_tokens=9,
    )
    wanted = {
        "temperature": 0.5, "p": 0.9, "k": 4, "seed": 1, "frequency_penalty": 0.1,
        "presence_penalty": 0.2, "max_tokens": 9,
    }  # fmt: skip
    assert {name: said[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, None),
        ("auto", None),
        ("none", "NONE"),
        ("required", "REQUIRED"),
        ({"type": "function", "function": {"name": "find"}}, "REQUIRED"),
    ],
)
def test_cohere_is_told_whether_to_call_a_tool(choice: object, told: object) -> None:
    assert cohere(tools=TOOLS, tool_choice=choice).get("tool_choice") == told


def test_cohere_cannot_be_told_to_call_one_of_several_tools() -> None:
    tools = [*TOOLS, {"type": "function", "function": {"name": "other"}}]
    choice = {"type": "function", "function": {"name": "find"}}
    assert refused("cohere", tools=tools, tool_choice=choice) == "tool_choice"


def test_cohere_has_strict_tools_or_none() -> None:
    strict = {"type": "function", "function": FIND | {"strict": True}}
    assert cohere(tools=[strict])["strict_tools"] is True
    assert refused("cohere", tools=[strict, *TOOLS]) == "tools"


def test_cohere_gets_effort_as_a_budget() -> None:
    thinking = cohere(reasoning_effort="medium")["thinking"]
    assert thinking == {"type": "enabled", "token_budget": 8192}
    assert cohere(reasoning_effort="none")["thinking"] == {"type": "disabled"}


def test_cohere_gets_json_with_and_without_a_schema() -> None:
    said = cohere(response_format={"type": "json_object"})
    assert said["response_format"] == {"type": "json_object"}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    said = cohere(response_format=wanted)
    assert said["response_format"] == {"type": "json_object", "json_schema": SCHEMA}


def test_cohere_gets_images_as_they_are() -> None:
    parts = [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": JPEG, "detail": "low"}},
    ]
    messages = [{"role": "user", "content": parts}]
    assert cohere(messages=messages)["messages"] == messages


def test_cohere_gets_reasoning_back_as_a_plan_or_as_thinking() -> None:
    turn = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
    said = cohere(messages=[*HELLO, turn, *HELLO])["messages"][1]
    assert said["content"] == [
        {"type": "thinking", "thinking": "Hm"},
        {"type": "text", "text": "Hi"},
    ]
    said = cohere(messages=[*HELLO, turn | {"tool_calls": [CALL]}])["messages"][1]
    assert (said["tool_plan"], said["content"]) == ("Hm", "Hi")


@pytest.mark.parametrize(("param", "value"), [("user", "u1"), ("parallel_tool_calls", False)])
def test_cohere_has_no_words_for(param: str, value: object) -> None:
    assert refused("cohere", **{param: value}) == param
