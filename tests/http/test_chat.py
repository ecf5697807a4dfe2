from __future__ import annotations

from typing import Any

import pytest
from tests.http.app_world import World

from sluice.http.services import AppSettings

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


def ask(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": HELLO, **more}


@pytest.fixture
def world() -> World:
    return World()


# -- what becomes of a good request ------------------------------------------------------------


async def test_a_valid_request_becomes_a_job_and_is_answered_by_the_stream(world: World) -> None:
    answer = await world.chat(ask(), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.body) == (200, b"ran")
    assert world.job.model.name == "gpt-4o"
    assert world.job.route == "/v1/chat/completions"
    assert not world.job.streamed
    assert world.job.validated >= world.job.arrived
    assert world.reports == []


async def test_every_field_but_model_and_stream_options_reaches_the_provider_byte_for_byte(
    world: World,
) -> None:
    kept = (
        b'"messages":[ {"content":"caf\\u00e9 \xc3\xa9","role":"user","unknown":[1, 2.50]}],'
        b'"temperature": 0.10,"x_new":{"b": 1, "a":[ ]},"seed":12345678901234567890'
    )
    await world.chat(b'{"model": "fast",' + kept + b"}")
    for part in (
        b'[ {"content":"caf\\u00e9 \xc3\xa9","role":"user","unknown":[1, 2.50]}]',
        b"0.10",
        b'{"b": 1, "a":[ ]}',
        b"12345678901234567890",
    ):
        assert part in world.upstream_body
    assert b"stream_options" not in world.upstream_body


async def test_the_provider_is_asked_for_its_own_name_of_the_model(world: World) -> None:
    await world.chat(ask() | {"model": "fast"})
    assert world.upstream["model"] == "gpt-4o-mini"
    assert world.job.model.name == "fast"


async def test_a_model_that_matches_a_pattern_keeps_its_own_name(world: World) -> None:
    await world.chat(ask() | {"model": "sim-ok"})
    assert world.upstream["model"] == "sim-ok"
    assert world.job.model.name == "sim-*"


@pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {}}])
async def test_the_provider_of_a_stream_is_always_asked_for_the_usage(
    world: World, options: dict[str, Any]
) -> None:
    await world.chat(ask(stream=True, **options))
    assert world.job.streamed
    assert world.upstream["stream"] is True
    assert world.upstream["stream_options"] == {"include_usage": True}


async def test_other_stream_options_are_kept_beside_the_usage(world: World) -> None:
    options = {"include_usage": False, "include_obfuscation": False}
    await world.chat(ask(stream=True, stream_options=options))
    assert world.upstream["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_a_field_that_is_given_twice_counts_as_its_last_for_us_and_the_provider(
    world: World,
) -> None:
    body = b'{"model":"nope","model":"gpt-4o","n":1,"messages":[{"role":"user"}],"n":2}'
    await world.chat(body)
    assert world.upstream_body.count(b'"model"') == 1
    assert world.upstream == {"model": "gpt-4o", "n": 2, "messages": [{"role": "user"}]}


async def test_conversations_with_parts_tools_and_answers_are_valid(world: World) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        {"type": "custom", "custom": {"name": "g"}},
    ]
    body = ask(messages=messages, tools=tools, tool_choice="auto", stop=["x"], n=2, top_p=1)
    answer = await world.chat(body)
    assert answer.status == 200
    assert world.upstream["messages"] == messages


# -- mistakes, and how they are told -----------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param", "code", "says"),
    [
        ({"messages": HELLO}, "model", "missing_required_parameter", "model is required."),
        ({"model": 7, "messages": HELLO}, "model", "invalid_type", "a string, not an integer"),
        ({"model": "", "messages": HELLO}, "model", "invalid_value", "must not be empty"),
        ({"model": "gpt-4o"}, "messages", "missing_required_parameter", "messages is required."),
        (ask(messages=[]), "messages", "empty_array", "messages must not be empty."),
        (ask(messages="Hello"), "messages", "invalid_type", "an array, not a string"),
        (ask(messages=[1]), "messages[0]", "invalid_type", "an object, not an integer"),
        (
            ask(messages=[{"role": "user", "content": 3}]),
            "messages[0].content",
            "invalid_type",
            "messages[0].content must be a string or an array or null, not an integer.",
        ),
        (
            ask(messages=[{"role": "robot", "content": "x"}]),
            "messages[0].role",
            "invalid_value",
            "messages[0].role: Invalid enum value 'robot'",
        ),
        (
            ask(messages=[*HELLO, {"content": "x"}]),
            "messages[1].role",
            "missing_required_parameter",
            "messages[1].role is required.",
        ),
        (
            ask(messages=[{"role": "user", "content": [{"type": "text", "text": 1}]}]),
            "messages[0].content[0].text",
            "invalid_type",
            "a string, not an integer",
        ),
        (ask(n=0), "n", "invalid_value", "n: "),
        (ask(n="2"), "n", "invalid_type", "an integer or null, not a string"),
        (ask(temperature="hot"), "temperature", "invalid_type", "a number or null"),
        (ask(stream="yes"), "stream", "invalid_type", "true or false or null"),
        (ask(stream_options=[]), "stream_options", "invalid_type", "an object or null"),
        (ask(stop=5), "stop", "invalid_type", "a string or an array or null"),
        (ask(tools=[{"function": {}}]), None, "missing_required_parameter", "tools[0]"),
        (["not", "an", "object"], None, "invalid_type", "The body must be an object, not an array"),
    ],
)
async def test_a_wrong_field_is_named(
    world: World, body: Any, param: str | None, code: str, says: str
) -> None:
    answer = await world.chat(body)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["code"] == code
    assert says in answer.error["message"]
    if param is not None:
        assert answer.error["param"] == param
    assert world.streams.jobs == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"model":', "ends too early (byte 9)"),
        (b'{"model":"gpt-4o",}', "(byte 18)"),
        (b'{"model":"m","messages":[]} x', "trailing characters (byte 29)"),
        (b"model=gpt-4o", "invalid character (byte 0)"),
        (b'{"model":NaN}', "(byte 9)"),
        (b'{"model":"\xff"}', "not UTF-8 (byte 10)"),
        (b'{"x_unknown":"\xff"}', "not UTF-8 (byte 14)"),
        (b'\xef\xbb\xbf{"model":"gpt-4o"}', "(byte 0)"),
    ],
)
async def test_malformed_json_is_told_with_its_position(
    world: World, body: bytes, says: str
) -> None:
    answer = await world.chat(body)
    assert (answer.status, answer.error["code"]) == (400, "invalid_json")
    assert says in answer.error["message"]


async def test_json_may_nest_as_deep_as_configured_and_no_deeper() -> None:
    def nested(levels: int) -> bytes:
        inside = b"[" * (levels - 1) + b"]" * (levels - 1)
        return b'{"model":"gpt-4o","messages":[{"role":"user"}],"x":' + inside + b"}"

    world = World(AppSettings(json_depth=10))
    assert (await world.chat(nested(10))).status == 200
    answer = await world.chat(nested(11))
    assert (answer.status, answer.error["code"]) == (400, "json_too_deep")


async def test_brackets_in_strings_and_side_by_side_are_not_depth() -> None:
    world = World(AppSettings(json_depth=4))
    text = '[[[[[[{{{{{{ \\" [[[['
    answer = await world.chat(ask(messages=[{"role": "user", "content": text}] * 50))
    assert answer.status == 200


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 100_000, b'["' + b'\\"' * 200_000 + b"[" * 100, b'["' + b"\\" * 9],
)
async def test_hostile_nesting_is_refused_quickly(world: World, body: bytes) -> None:
    answer = await world.chat(body)
    assert answer.status == 400


async def test_an_unknown_model_is_a_404_that_names_it_and_a_label_that_does_not(
    world: World,
) -> None:
    answer = await world.chat(ask() | {"model": "gpt-99"})
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert "gpt-99" in answer.error["message"]
    assert answer.error["param"] == "model"
    assert (world.report.model, world.report.provider) == ("other", "other")


async def test_what_is_quoted_of_a_client_is_bounded(world: World) -> None:
    answer = await world.chat(ask() | {"model": "x" * 100_000})
    assert len(answer.body) < 1000
    answer = await world.chat(ask(messages=[{"role": "r" * 100_000}]))
    assert len(answer.body) < 1000


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
async def test_a_compressed_body_is_a_415(world: World, coding: str) -> None:
    answer = await world.chat(ask(), headers={"Content-Encoding": coding})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_encoding")


async def test_identity_is_a_coding_that_is_read(world: World) -> None:
    assert (await world.chat(ask(), headers={"Content-Encoding": "identity"})).status == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_says_it_is_not_json_is_a_415(world: World, media_type: str) -> None:
    answer = await world.chat(ask(), headers={"Content-Type": media_type})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"]
)
async def test_json_by_any_of_its_names_is_read(world: World, media_type: str) -> None:
    assert (await world.chat(ask(), headers={"Content-Type": media_type})).status == 200


async def test_a_body_over_the_limit_is_a_413_on_any_server() -> None:
    world = World(AppSettings(body_limit=100))
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": b" " * 60, "more_body": True},
        {"type": "http.request", "body": b" " * 60, "more_body": True},
    ]
    answer = await world.chat(b"", events=pieces)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


async def test_a_body_in_pieces_is_put_together(world: World) -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"model":"gpt-4o",', "more_body": True},
        {"type": "http.request", "body": b'"messages":[{"role":"user"}]}', "more_body": False},
    ]
    assert (await world.chat(b"", events=pieces)).status == 200


async def test_a_client_that_leaves_before_its_request_is_complete_is_logged_not_counted(
    world: World,
) -> None:
    answer = await world.chat(
        b"",
        events=[
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ],
    )
    assert answer.status == 0
    assert (world.report.end, world.report.http_status) == ("client_left", 0)
    assert (world.report.outcome, world.report.error) == (None, None)


# -- what is told of a refusal -----------------------------------------------------------------


async def test_a_refusal_is_reported_as_a_validation_error_that_is_no_request(
    world: World,
) -> None:
    await world.chat(b"{", headers={"X-Request-Id": "mine"})
    report = world.report
    assert report.error == ("validation_error", "validation")
    assert report.outcome is None
    assert (report.http_status, report.end, report.request_id) == (400, "invalid_json", "mine")
    assert [stage for stage, _ in report.stages] == ["validation"]
    assert report.duration >= 0


async def test_while_no_stream_is_taken_the_answer_is_503_with_a_time_to_come_back(
    world: World,
) -> None:
    world.streams.accepting = False
    answer = await world.chat(ask())
    assert (answer.status, answer.error["code"]) == (503, "not_accepting")
    assert answer.header("retry-after") == "1"
    assert world.report.error == ("connection_pool_exhausted", "admission")


async def test_a_clients_own_request_id_is_taken_over_if_it_is_harmless(world: World) -> None:
    answer = await world.chat(ask(), headers={"X-Request-Id": "a.B_c-9"})
    assert answer.header("x-request-id") == "a.B_c-9"


@pytest.mark.parametrize("given", ["", "with space", "x" * 65, "semi;colon", "caf\xe9"])
async def test_any_other_request_id_is_replaced_by_ours(world: World, given: str) -> None:
    answer = await world.chat(b"{", headers={"X-Request-Id": given})
    made = answer.header("x-request-id")
    assert made is not None
    assert made != given
    assert len(made) == 32
