"""OpenAI's requests, said in Anthropic's and Cohere's words: as the official SDKs type them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from cohere import ChatMessages, ResponseFormatV2, Thinking, ToolV2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sluice.actors.failures import Failure
from sluice.actors.formats.requests import translated

COHERE: dict[str, TypeAdapter[Any]] = {
    "messages": TypeAdapter(ChatMessages),
    "tools": TypeAdapter(list[ToolV2]),
    "response_format": TypeAdapter(ResponseFormatV2),
    "thinking": TypeAdapter(Thinking),
}
ANTHROPIC: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FIND = {"name": "find", "description": "Finds.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FIND}]
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
OTHER = {"id": "c2", "type": "function", "function": {"name": "find", "arguments": ""}}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Find a."},
    {"role": "assistant", "content": None, "tool_calls": [CALL, OTHER], "refusal": None},
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
    {"role": "user", "content": "Thanks."},
]
FORMATS = pytest.mark.parametrize("provider_format", ["anthropic", "cohere"])
JPEG = "data:image/jpeg;base64,/9j/4A=="


def say(
    provider_format: str, *, model: str | None = None, streamed: bool = False, **fields: Any
) -> dict[str, Any]:
    asked = {"model": "m", "messages": HELLO} | fields
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    body = translated(raw, provider_format, model, streamed=streamed, max_tokens=4096)
    said: dict[str, Any] = msgspec.json.decode(body)
    return said


def anthropic(**fields: Any) -> dict[str, Any]:
    said = say("anthropic", **fields)
    # What older models take is no longer among the SDK's types, nor are other keys checked.
    unchecked = {"temperature", "top_p", "top_k", "stream"}
    ANTHROPIC.validate_python(
        {name: value for name, value in said.items() if name not in unchecked}
    )
    return said


def cohere(**fields: Any) -> dict[str, Any]:
    said = say("cohere", **fields)
    for name, kind in COHERE.items():
        if name in said:
            kind.validate_python(said[name])
    return said


def refused(provider_format: str, **fields: Any) -> str | None:
    with pytest.raises(Failure) as caught:
        say(provider_format, **fields)
    failure = caught.value
    assert (failure.code, failure.status, failure.stage) == ("untranslatable", 400, "validation")
    assert failure.param is not None
    assert failure.param in failure.message
    return failure.param


# -- both --------------------------------------------------------------------------------------


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


# -- Anthropic ---------------------------------------------------------------------------------


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


# -- Cohere ------------------------------------------------------------------------------------


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
