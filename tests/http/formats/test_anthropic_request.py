"""Requests of Anthropic's clients: what is valid, and what a provider gets for it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.formats.asking import ANTHROPIC, HELLO

PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}

ask, asked, refused, for_openai = (
    ANTHROPIC.ask,
    ANTHROPIC.asked,
    ANTHROPIC.refused,
    ANTHROPIC.for_openai,
)


# -- the same format on both sides -------------------------------------------------------------


def test_every_field_but_the_model_reaches_a_provider_of_the_format_byte_for_byte() -> None:
    kept = (
        b'"max_tokens":100,"messages":[{"role":"user","content":[{"type":"x_new","a":1.50},'
        b'{"type":"text","text":"caf\\u00e9","cache_control":{"type":"ephemeral"}}]}],'
        b'"tools":[{"type":"web_search_20250305","name":"web_search"}],"x_new":{ "b":[ ]}'
    )
    request = asked(b'{"model":"claude",' + kept + b"}")
    assert request.body_for("anthropic", None) == b'{"model":"claude",' + kept + b"}"
    assert request.body_for("anthropic", "c-4") == b'{"model":"c-4",' + kept + b"}"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"max_tokens": 1, "messages": HELLO}, "model", "missing_required_parameter"),
        ({"model": "c", "messages": HELLO}, "max_tokens", "missing_required_parameter"),
        ({"model": "c", "max_tokens": 1}, "messages", "missing_required_parameter"),
        (ask(model=""), "model", "invalid_value"),
        (ask(messages=[]), "messages", "empty_array"),
        (ask(max_tokens="1"), "max_tokens", "invalid_type"),
        (ask(system=7), "system", "invalid_type"),
        (ask(messages=[{"role": "tool", "content": ""}]), "messages[0].role", "invalid_value"),
        (
            ask(messages=[{"role": "user", "content": [{"type": "text"}]}]),
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            ask(messages=[{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]),
            "messages[0].content[0].name",
            "missing_required_parameter",
        ),
        (ask(system=[{"type": "text"}]), "system[0].text", "missing_required_parameter"),
        (ask(tools=[{"input_schema": {}}]), "tools[0].name", "missing_required_parameter"),
        (ask(tools=[{"name": "f"}]), "tools[0].input_schema", "missing_required_parameter"),
        (ask(thinking={}), "thinking.type", "missing_required_parameter"),
        (
            ask(thinking={"type": "enabled"}),
            "thinking.budget_tokens",
            "missing_required_parameter",
        ),
        (ask(tool_choice={"type": "tool"}), "tool_choice.name", "missing_required_parameter"),
    ],
)
def test_what_is_wrong_or_missing_is_refused_by_name(
    body: dict[str, Any], param: str, code: str
) -> None:
    failure = refused(body)
    assert (failure.param, failure.code) == (param, code)


# -- in OpenAI's words -------------------------------------------------------------------------


def test_a_request_is_told_in_openais_words() -> None:
    body = for_openai(
        system="Be brief",
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        metadata={"user_id": "u-1"},
        service_tier="standard_only",
    )
    assert body == {
        "model": "theirs",
        "messages": [{"role": "system", "content": "Be brief"}, *HELLO],
        "max_completion_tokens": 100,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "user": "u-1",
        "service_tier": "default",
    }


def test_a_conversation_with_images_thinking_and_tools_is_told() -> None:
    url = {"type": "url", "url": "https://example.com/a.png"}
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": [1, 2.5]}}
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What are these?"},
                {"type": "image", "source": PNG},
                {"type": "image", "source": url, "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "EqQ"},
                {"type": "text", "text": "I ask.", "citations": None},
                call,
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "42"},
                {"type": "text", "text": "And?"},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "Be kind"}]},
        {"role": "assistant", "content": "It is"},
    ]
    function = {"name": "f", "arguments": '{"x":[1,2.5]}'}
    assert for_openai(messages=messages)["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What are these?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": "I ask.",
            "reasoning_content": "Hm",
            "tool_calls": [{"id": "t1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "42"},
        {"role": "user", "content": "And?"},
        {"role": "system", "content": "Be kind"},
        {"role": "assistant", "content": "It is"},
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("Not found", "Error: Not found"),
        ([{"type": "text", "text": "Not found"}], "Error: Not found"),
        (None, "Error: "),
        (
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            [{"type": "text", "text": each} for each in ("Error:", "a", "b")],
        ),
    ],
)
def test_that_a_tool_failed_is_said_in_its_text(content: Any, told: Any) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": True}
    body = for_openai(messages=[{"role": "user", "content": [result]}])
    assert body["messages"] == [{"role": "tool", "tool_call_id": "t", "content": told}]


def test_an_empty_turn_stays_one() -> None:
    messages = [{"role": "user", "content": []}, {"role": "assistant", "content": []}]
    told = for_openai(messages=messages)["messages"]
    assert told == [{"role": "user", "content": []}, {"role": "assistant", "content": ""}]


def test_tools_are_functions() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "number", "minimum": 0.5}}}
    tools = [
        {"name": "f", "input_schema": schema, "description": "Does f", "strict": True},
        {"name": "g", "input_schema": {}, "type": "custom", "eager_input_streaming": True},
    ]
    function = {"name": "f", "parameters": schema, "description": "Does f", "strict": True}
    assert for_openai(tools=tools)["tools"] == [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "g", "parameters": {}}},
    ]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            {"type": "tool", "name": "f"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
    ],
)
def test_the_choice_of_a_tool_is_told(choice: dict[str, Any], told: dict[str, Any]) -> None:
    body = for_openai(tool_choice=choice)
    assert {name: body[name] for name in told} == told


@pytest.mark.parametrize(
    ("asked", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "high"),
        ({"output_config": {"effort": "low"}}, "low"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "max"),
    ],
)
def test_how_much_to_think_is_told_in_a_word(asked: dict[str, Any], effort: str | None) -> None:
    assert for_openai(**asked).get("reasoning_effort") == effort


def test_a_schema_for_the_answer_is_told() -> None:
    schema = {"type": "object", "properties": {}}
    body = for_openai(output_config={"format": {"type": "json_schema", "schema": schema}})
    json_schema = {"name": "answer", "schema": schema, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": json_schema}


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"container": "c-1"}, "container"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{"name": "f", "input_schema": {}, "x": 1}]}, "tools[0].x"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display"),
        ({"speed": "fast"}, "speed"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
            "output_config.effort",
        ),
        ({"tool_choice": {"type": "x_new"}}, "tool_choice.type"),
    ],
)
def test_what_openai_has_no_word_for_is_refused_by_name(
    request_: dict[str, Any], param: str
) -> None:
    assert ANTHROPIC.untranslatable("openai", **request_) == param


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ({"type": "document", "source": PNG}, "type"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source.type"),
        ({"type": "image", "source": PNG, "x_new": 1}, "x_new"),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "image", "source": PNG}],
            },
            "content[0].type",
        ),
    ],
)
def test_a_block_that_openai_has_no_word_for_is_refused_by_its_place(
    block: dict[str, Any], where: str
) -> None:
    messages = [{"role": "user", "content": [block]}]
    param = ANTHROPIC.untranslatable("openai", messages=messages)
    assert param == f"messages[0].content[0].{where}"
