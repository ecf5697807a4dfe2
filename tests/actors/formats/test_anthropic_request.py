"""OpenAI's requests, said in Anthropic's words: as the official SDK types them."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter
from tests.actors.formats.asking import CALL, HELLO, JPEG, SCHEMA, TOOLS, TURNS, refused, say

ANTHROPIC: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)


def anthropic(**fields: Any) -> dict[str, Any]:
    said = say("anthropic", **fields)
    # What older models take is no longer among the SDK's types, nor are other keys checked.
    unchecked = {"temperature", "top_p", "top_k", "stream"}
    ANTHROPIC.validate_python(
        {name: value for name, value in said.items() if name not in unchecked}
    )
    return said


def test_anthropic_gets_the_system_prompt_apart_and_results_of_tools_in_one_message() -> None:
    said = anthropic(messages=TURNS, tools=TOOLS)
    assert said["system"] == "Be brief."
    assert said["tools"] == [
        {"name": "find", "description": "Finds.", "input_schema": SCHEMA},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "two"}]},
    ]
    calls = [
        {"type": "tool_use", "id": "c1", "name": "find", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "find", "input": {}},
    ]
    assert said["messages"] == [
        {"role": "user", "content": "Find a."},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
        {"role": "user", "content": "Thanks."},
    ]


def test_anthropic_gets_several_system_prompts_as_blocks_and_later_ones_where_they_stand() -> None:
    said = anthropic(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            *HELLO,
            {"role": "system", "content": "c"},
        ]
    )
    assert [block["text"] for block in said["system"]] == ["a", "b"]
    assert said["messages"] == [*HELLO, {"role": "system", "content": "c"}]


def test_anthropic_requires_a_length_and_gets_the_models_or_the_clients() -> None:
    assert anthropic()["max_tokens"] == 4096
    assert anthropic(max_tokens=5)["max_tokens"] == 5
    assert anthropic(max_tokens=5, max_completion_tokens=6)["max_tokens"] == 6


@pytest.mark.parametrize(
    ("choice", "parallel", "told"),
    [
        (None, None, None),
        ("auto", None, None),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"type": "function", "function": {"name": "find"}},
            False,
            {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_anthropic_is_told_which_tool_to_call_and_how_many(
    choice: object, parallel: bool | None, told: object
) -> None:
    said = anthropic(tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel)
    assert said.get("tool_choice") == told


def test_anthropic_gets_images_by_url_and_in_base64() -> None:
    parts = [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": JPEG}},
    ]
    (message,) = anthropic(messages=[{"role": "user", "content": parts}])["messages"]
    data = {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A=="}
    assert message["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
        {"type": "image", "source": data},
    ]


@pytest.mark.parametrize("kind", ["image/jpg", "IMAGE/JPEG"])
def test_anthropic_gets_a_jpeg_by_its_name_whatever_the_client_calls_it(kind: str) -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:{kind};base64,/9j/4A=="}}
    (message,) = anthropic(messages=[{"role": "user", "content": [part]}])["messages"]
    assert message["content"][0]["source"]["media_type"] == "image/jpeg"


@pytest.mark.parametrize("url", ["data:image/svg+xml;base64,x", "data:image/png,x", "data:x"])
def test_anthropic_takes_no_other_images(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    where = refused("anthropic", messages=[{"role": "user", "content": [part]}])
    assert where == "messages[0].content[0].image_url.url"


@pytest.mark.parametrize(
    ("effort", "fields", "budget", "max_tokens"),
    [
        ("low", {}, 2048, 4096 + 2048),
        ("high", {}, 16384, 4096 + 16384),
        ("high", {"max_tokens": 5000}, 4999, 5000),
    ],
)
def test_anthropic_gets_effort_as_a_budget_within_the_length(
    effort: str, fields: dict[str, Any], budget: int, max_tokens: int
) -> None:
    said = anthropic(reasoning_effort=effort, **fields)
    assert said["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert said["max_tokens"] == max_tokens


def test_anthropic_does_not_think_without_effort_or_room() -> None:
    assert anthropic(reasoning_effort="none")["thinking"] == {"type": "disabled"}
    assert "thinking" not in anthropic()
    assert refused("anthropic", reasoning_effort="low", max_tokens=1000) == "reasoning_effort"


def test_anthropic_gets_reasoning_back_with_its_signature_only() -> None:
    turn = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
    where = refused("anthropic", messages=[*HELLO, turn, *HELLO])
    assert where == "messages[1].reasoning_content"
    said = anthropic(messages=[*HELLO, turn | {"reasoning_signature": "sig"}, *HELLO])
    assert said["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "text", "text": "Hi"},
    ]


def test_anthropic_gets_back_the_signature_of_reasoning_that_it_has_not_shown() -> None:
    turn = {"role": "assistant", "content": "Hi", "reasoning_signature": "sig"}
    said = anthropic(messages=[*HELLO, turn, *HELLO])
    assert said["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "text", "text": "Hi"},
    ]


def test_anthropic_gets_what_a_schema_is_for_as_its_description() -> None:
    asked = {"name": "n", "schema": SCHEMA, "description": "An a."}
    said = anthropic(response_format={"type": "json_schema", "json_schema": asked})
    assert said["output_config"]["format"]["schema"] == SCHEMA | {"description": "An a."}


@pytest.mark.parametrize(("tier", "told"), [("default", "standard_only"), ("auto", None)])
def test_anthropic_is_told_of_the_tier_what_it_has_a_word_for(tier: str, told: str | None) -> None:
    assert anthropic(service_tier=tier).get("service_tier") == told


def test_anthropic_gets_a_schema_the_user_and_the_sampling() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    said = anthropic(response_format=wanted, user="u1", temperature=0.5, top_p=0.9, top_k=4)
    assert said["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert said["metadata"] == {"user_id": "u1"}
    assert (said["temperature"], said["top_p"], said["top_k"]) == (0.5, 0.9, 4)


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("seed", 1),
        ("frequency_penalty", 0.5),
        ("presence_penalty", 0.5),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_anthropic_has_no_words_for(param: str, value: object) -> None:
    assert refused("anthropic", **{param: value}) == param


def test_arguments_that_are_no_object_cannot_be_said_to_anthropic() -> None:
    call = CALL | {"function": {"name": "find", "arguments": "[1"}}
    turn = {"role": "assistant", "content": "", "tool_calls": [call]}
    where = refused("anthropic", messages=[*HELLO, turn])
    assert where == "messages[1].tool_calls[0].function.arguments"
