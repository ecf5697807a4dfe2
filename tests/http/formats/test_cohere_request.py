"""Requests of Cohere's clients: what is valid, and what a provider gets for it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.formats.asking import COHERE, HELLO

CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.50}'}}

ask, asked, refused, for_openai = COHERE.ask, COHERE.asked, COHERE.refused, COHERE.for_openai


# -- the same format on both sides -------------------------------------------------------------


def test_every_field_but_the_model_reaches_a_provider_of_the_format_byte_for_byte() -> None:
    kept = (
        b'"stream":true,"messages":[{"role":"user","content":[{"type":"x_new","a":1.50},'
        b'{"type":"text","text":"caf\\u00e9"}]}],"documents":["a"],"x_new":{ "b":[ ]}'
    )
    request = asked(b'{"model":"command",' + kept + b"}")
    assert request.body_for("cohere", None) == b'{"model":"command",' + kept + b"}"
    assert request.body_for("cohere", "c-4") == b'{"model":"c-4",' + kept + b"}"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": HELLO}, "model", "missing_required_parameter"),
        ({"model": "c"}, "messages", "missing_required_parameter"),
        (ask(model=""), "model", "invalid_value"),
        (ask(messages=[]), "messages", "empty_array"),
        (ask(k="1"), "k", "invalid_type"),
        (ask(messages=[{"role": "user"}]), "messages[0].content", "missing_required_parameter"),
        (
            ask(messages=[{"role": "tool", "content": ""}]),
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        (
            ask(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
            "messages[0].content[0].image_url",
            "missing_required_parameter",
        ),
        (ask(tools=[{"type": "function"}]), "tools[0].function", "missing_required_parameter"),
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
        max_tokens=100,
        stop_sequences=["END"],
        temperature=0.5,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        k=40,
        p=0.9,
        tool_choice="REQUIRED",
        logprobs=False,
    )
    assert body == {
        "model": "theirs",
        "messages": HELLO,
        "max_completion_tokens": 100,
        "stop": ["END"],
        "temperature": 0.5,
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "top_k": 40,
        "top_p": 0.9,
        "tool_choice": "required",
    }


def test_a_conversation_with_images_thinking_and_tools_is_told() -> None:
    image = {"url": "data:image/png;base64,AAAA", "detail": "low"}
    thinking = {"type": "thinking", "thinking": "Hm"}
    document = {"type": "document", "document": {"id": "d", "data": {"level": 4.2}}}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": image},
            ],
        },
        {"role": "assistant", "tool_plan": "I will ask.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "t1", "content": [document]},
        {
            "role": "assistant",
            "content": [thinking, {"type": "text", "text": "4.2"}],
            "citations": [{"start": 0, "end": 3, "text": "4.2"}],
        },
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "It is"},
    ]
    assert for_openai(messages=messages)["messages"] == [
        {"role": "system", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": image},
            ],
        },
        {"role": "assistant", "content": "I will ask.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "t1", "content": '{"level":4.2}'},
        {"role": "assistant", "content": "4.2", "reasoning_content": "Hm"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "It is"},
    ]


def test_documents_that_are_text_and_turns_that_are_empty_are_told_as_such() -> None:
    result = [{"type": "document", "document": {"data": "42"}}, {"type": "text", "text": "m"}]
    messages = [
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "t1", "content": result},
        {"role": "assistant", "content": []},
    ]
    assert for_openai(messages=messages)["messages"] == [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {
            "role": "tool",
            "tool_call_id": "t1",
            "content": [{"type": "text", "text": "42"}, {"type": "text", "text": "m"}],
        },
        {"role": "assistant", "content": ""},
    ]


def test_tools_are_functions_and_all_are_strict_if_one_is_to_be() -> None:
    function = {"name": "f", "description": "Does f", "parameters": {"type": "object"}}
    body = for_openai(tools=[{"type": "function", "function": function}], strict_tools=True)
    assert body["tools"] == [{"type": "function", "function": {**function, "strict": True}}]
    body = for_openai(tools=[{"type": "function", "function": {"name": "g"}}])
    assert body["tools"] == [{"type": "function", "function": {"name": "g"}}]


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "disabled"}, "none"),
        ({"type": "enabled"}, "medium"),
        ({"type": "enabled", "token_budget": 500}, "low"),
    ],
)
def test_how_much_to_think_is_told_in_a_word(thinking: dict[str, Any], effort: str) -> None:
    assert for_openai(thinking=thinking)["reasoning_effort"] == effort


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"type": "text"}, {"type": "text"}),
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_object", "json_schema": {"type": "object"}},
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            },
        ),
    ],
)
def test_the_form_of_the_answer_is_told(wanted: dict[str, Any], told: dict[str, Any]) -> None:
    assert for_openai(response_format=wanted)["response_format"] == told


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"documents": ["a"]}, "documents"),
        ({"safety_mode": "OFF"}, "safety_mode"),
        ({"citation_options": {"mode": "OFF"}}, "citation_options"),
        ({"logprobs": True}, "logprobs"),
        ({"tool_choice": "SOME"}, "tool_choice"),
        ({"thinking": {"type": "x_new"}}, "thinking.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "x_new"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
def test_what_openai_has_no_word_for_is_refused_by_name(
    request_: dict[str, Any], param: str
) -> None:
    assert COHERE.untranslatable("openai", **request_) == param
