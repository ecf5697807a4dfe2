"""Requests that are told in another format's words: what holds whichever two they are."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.formats.asking import ANTHROPIC, COHERE, Asking

CLIENTS = pytest.mark.parametrize("clients", [ANTHROPIC, COHERE], ids=["anthropic", "cohere"])


@CLIENTS
def test_of_a_stream_the_usage_is_asked_for(clients: Asking) -> None:
    body = clients.for_openai(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@CLIENTS
def test_json_that_nests_too_deep_or_is_none_is_refused(clients: Asking) -> None:
    assert clients.refused(b"{").code == "invalid_json"
    assert clients.refused(b"[" * 100).code == "json_too_deep"
    assert clients.refused(b'{"model":"\xff"}').code == "invalid_json"


@pytest.mark.parametrize(
    ("clients", "field"), [(ANTHROPIC, "container"), (COHERE, "documents"), (COHERE, "x_new")]
)
def test_a_null_asks_for_nothing_that_could_not_be_told(clients: Asking, field: str) -> None:
    assert clients.for_openai(**{field: None}) == clients.for_openai()


@pytest.mark.parametrize(
    ("clients", "to", "asked", "param"),
    [
        (ANTHROPIC, "cohere", {"metadata": {"user_id": "u"}}, "metadata.user_id"),
        (ANTHROPIC, "cohere", {"service_tier": "standard_only"}, "service_tier"),
        (COHERE, "anthropic", {"seed": 7}, "seed"),
        (COHERE, "anthropic", {"presence_penalty": 0.5}, "presence_penalty"),
        (COHERE, "anthropic", {"response_format": {"type": "json_object"}}, "response_format"),
        (
            COHERE,
            "anthropic",
            {"max_tokens": 9, "thinking": {"type": "enabled", "token_budget": 4000}},
            "thinking",
        ),
    ],
)
def test_what_a_third_format_has_no_word_for_is_refused_in_the_clients_word(
    clients: Asking, to: str, asked: dict[str, Any], param: str
) -> None:
    assert clients.untranslatable(to, **asked) == param


def test_reasoning_that_anthropic_has_not_signed_is_refused_where_the_client_put_it() -> None:
    thought = [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": thought},
        {"role": "user", "content": "And?"},
    ]
    assert COHERE.untranslatable("anthropic", messages=messages) == "messages[1].content"


def test_a_conversation_with_tools_goes_from_anthropics_clients_to_cohere() -> None:
    schema = {"type": "object", "properties": {}}
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "1"}
    said = ANTHROPIC.told(
        "cohere",
        system="Be brief",
        messages=[
            {"role": "user", "content": "Find"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
        tools=[{"name": "f", "input_schema": schema}],
        tool_choice={"type": "tool", "name": "f"},
        output_config={"format": {"type": "json_schema", "schema": schema}},
        stop_sequences=["END"],
        top_k=4,
    )
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert said == {
        "model": "theirs",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "Find"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t", "content": "1"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
        "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object", "json_schema": schema},
        "max_tokens": 100,
        "stop_sequences": ["END"],
        "k": 4,
        "stream": False,
    }


def test_a_conversation_with_tools_goes_from_coheres_clients_to_anthropic() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    schema = {"type": "object", "properties": {}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    said = COHERE.told(
        "anthropic",
        messages=[
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Find"}, image]},
            {"role": "assistant", "tool_plan": "I look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t", "content": "1"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        tool_choice="REQUIRED",
        response_format={"type": "json_object", "json_schema": schema},
        stop_sequences=["END"],
        p=0.5,
        k=4,
    )
    picture = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    used = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}
    assert said == {
        "model": "theirs",
        "max_tokens": 4096,
        "system": "Be brief",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Find"},
                    {"type": "image", "source": picture},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, used]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}],
            },
        ],
        "tools": [{"name": "f", "input_schema": schema}],
        "tool_choice": {"type": "any"},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "stop_sequences": ["END"],
        "top_p": 0.5,
        "top_k": 4,
    }
