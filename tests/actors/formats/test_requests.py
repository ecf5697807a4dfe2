"""OpenAI's requests, said in the words of other formats: what holds for all of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors.formats.asking import CALL, HELLO, JPEG, refused, say

from sluice.actors.formats.requests import translated

FORMATS = pytest.mark.parametrize("provider_format", ["anthropic", "cohere"])


@FORMATS
def test_what_is_said_least_is_model_and_messages(provider_format: str) -> None:
    said = say(provider_format, model="theirs", streamed=True)
    assert (said["model"], said["messages"], said["stream"]) == ("theirs", HELLO, True)
    assert say(provider_format)["model"] == "m"


@FORMATS
@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("store", True),
        ("metadata", {"a": "b"}),
        ("modalities", ["text", "audio"]),
        ("service_tier", "flex"),
        ("a_field_of_the_future", "x"),
        ("reasoning_effort", "infinite"),
        ("tool_choice", {"type": "allowed_tools", "allowed_tools": {}}),
        ("tool_choice", "perhaps"),
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": {}, "x_new": 1}}),
        (
            "response_format",
            {
                "type": "json_schema",
                "json_schema": {"schema": {"description": "A"}, "description": "B"},
            },
        ),
        ("prediction", {"type": "content", "content": "x"}),
    ],
)
def test_what_has_no_words_there_is_refused_by_name(
    param: str, value: object, provider_format: str
) -> None:
    assert (refused(provider_format, **{param: value}) or "").startswith(param)


@FORMATS
@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "user", "content": "x", "name": "Ann"}, "messages[0].name"),
        ({"role": "function", "content": "x", "name": "f"}, "messages[0].name"),
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "content": None, "refusal": "No."}, "messages[0].refusal"),
        ({"role": "assistant", "content": None, "audio": {"id": "x"}}, "messages[0].audio"),
        ({"role": "user", "content": "x", "cache_control": {}}, "messages[0]"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "messages[0].tool_calls"),
        ({"role": "user", "content": "x", "tool_call_id": "c1"}, "messages[0].tool_call_id"),
        (
            {"role": "system", "content": "x", "reasoning_content": "Hm"},
            "messages[0].reasoning_content",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "refusal": "No."}]},
            "messages[0].content[0]",
        ),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[0].content[0].type"),
        (
            {"role": "assistant", "tool_calls": [{"id": "x", "type": "custom", "custom": {}}]},
            "messages[0].tool_calls[0]",
        ),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": JPEG}}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_a_message_may_not_hold_is_refused_with_its_place(
    message: dict[str, Any], where: str, provider_format: str
) -> None:
    assert (refused(provider_format, messages=[message]) or "").startswith(where)


@FORMATS
def test_values_that_ask_for_nothing_and_nulls_are_no_obstacle(provider_format: str) -> None:
    plain = say(provider_format)
    assert plain == say(
        provider_format,
        n=1,
        logprobs=False,
        logit_bias={},
        store=False,
        modalities=["text"],
        service_tier="auto",
        tools=[],
        parallel_tool_calls=True,
        response_format={"type": "text"},
        tool_choice="auto",
        seed=None,
        prediction=None,
        stream=False,
        stream_options={"include_usage": True},
    )


@FORMATS
def test_stop_is_one_sequence_or_several(provider_format: str) -> None:
    assert say(provider_format, stop="a")["stop_sequences"] == ["a"]
    assert say(provider_format, stop=["a", "b"])["stop_sequences"] == ["a", "b"]


@FORMATS
def test_numbers_and_schemas_keep_every_digit(provider_format: str) -> None:
    huge = b"1234567890123456789012345678901234567890"
    tool = b'{"type":"function","function":{"name":"f","parameters":{"maximum":%b}}}' % huge
    call = b'{"id":"c","function":{"name":"f","arguments":"{\\"a\\":%b}"}}' % huge
    fields = {
        "model": b'"m"',
        "messages": b'[{"role":"assistant","tool_calls":[%b]}]' % call,
        "tools": b"[%b]" % tool,
        "top_k": huge,
    }
    raw = {name: msgspec.Raw(value) for name, value in fields.items()}
    body = translated(raw, provider_format, None, streamed=True, max_tokens=1)
    assert body.count(huge) == 3


@FORMATS
@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(min_size=1)),
        min_size=1,
    ).filter(lambda turns: turns[-1][0] == "user")
)
def test_every_text_of_a_conversation_is_said_once_in_its_order(
    provider_format: str, turns: list[tuple[str, str]]
) -> None:
    said = say(provider_format, messages=[{"role": r, "content": text} for r, text in turns])
    system = said.get("system", [])
    texts = [system] if isinstance(system, str) else [block["text"] for block in system]
    assert texts + [each["content"] for each in said["messages"]] == [text for _, text in turns]
