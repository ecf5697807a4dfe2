from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.http.app_world import Answer, World

from sluice.http.services import AppSettings


@pytest.fixture
def world() -> World:
    return World()


async def post(world: World, body: Any, **options: Any) -> Answer:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await world.call("POST", "/stream", raw, **options)


async def test_an_event_source_asks_with_model_and_prompt_in_its_url(world: World) -> None:
    answer = await world.call("GET", "/stream?model=fast&prompt=caf%C3%A9+%26%20cake&x=ignored")
    assert answer.status == 200
    assert world.job.streamed
    assert world.job.format.name == "sluice"
    assert world.upstream == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "café & cake"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_posted_prompt_becomes_the_users_message_beside_the_other_fields(
    world: World,
) -> None:
    await post(world, {"model": "gpt-4o", "prompt": "Hello", "temperature": 0.5, "x_new": [1]})
    assert world.upstream == {
        "model": "gpt-4o",
        "temperature": 0.5,
        "x_new": [1],
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_conversation_may_be_posted_instead_of_a_prompt(world: World) -> None:
    messages = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]
    await post(world, {"model": "gpt-4o", "messages": messages})
    assert world.upstream["messages"] == messages


async def test_every_request_has_a_format_of_its_own(world: World) -> None:
    for _ in range(2):
        await world.call("GET", "/stream?model=fast&prompt=x")
    first, second = world.streams.jobs
    assert first.format is not second.format


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/stream?model=gpt-4o&prompt=x", "/stream"])
async def test_an_event_source_that_reconnects_is_told_that_there_is_nothing_more(
    world: World, method: str, target: str
) -> None:
    answer = await world.call(method, target, headers={"Last-Event-ID": "abc-7"})
    assert (answer.status, answer.body) == (204, b"")
    assert world.streams.jobs == []
    assert (world.report.end, world.report.error) == ("nothing_more", None)


async def test_a_post_is_never_a_reconnect(world: World) -> None:
    body = {"model": "gpt-4o", "prompt": "x"}
    assert (await post(world, body, headers={"Last-Event-ID": "abc-7"})).status == 200


async def test_head_says_what_get_would_be_without_asking_a_provider(world: World) -> None:
    answer = await world.call("HEAD", "/stream?model=gpt-4o&prompt=x")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert world.streams.jobs == []


@pytest.mark.parametrize(
    ("query", "status", "code", "says"),
    [
        ("prompt=x", 400, "missing_required_parameter", "model is required."),
        ("model=gpt-4o", 400, "missing_required_parameter", "prompt is required."),
        ("model=gpt-4o&prompt=", 400, "invalid_value", "prompt must not be empty."),
        ("model=&prompt=x", 400, "invalid_value", "model must not be empty."),
        ("model=a&model=b&prompt=x", 400, "invalid_value", "model is given twice."),
        ("model=gpt-99&prompt=x", 404, "model_not_found", "gpt-99"),
        ("model=gpt-4o&prompt=%FF", 400, "invalid_query", "not percent-encoded UTF-8"),
        ("&".join(["a=b"] * 200), 400, "invalid_query", "too many fields"),
    ],
)
async def test_a_mistake_in_the_query_is_told_in_our_own_style(
    world: World, query: str, status: int, code: str, says: str
) -> None:
    answer = await world.call("GET", f"/stream?{query}")
    assert (answer.status, answer.error["code"]) == (status, code)
    assert says in answer.error["message"]
    assert (answer.error["type"], answer.error["stage"]) == ("validation_error", "validation")
    assert world.report.error == ("validation_error", "validation")


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"model": "gpt-4o"}, None, "prompt is required (or messages)."),
        (
            {"model": "gpt-4o", "prompt": "x", "messages": [{"role": "user"}]},
            "prompt",
            "not both",
        ),
        ({"model": "gpt-4o", "prompt": 5}, "prompt", "a string or null, not an integer"),
        ({"model": "gpt-4o", "messages": []}, "messages", "messages must not be empty."),
        ({"model": "gpt-4o", "prompt": "x", "stream": False}, "stream", "always streams"),
        ({"model": "gpt-4o", "prompt": "x", "n": 2}, "n", "use /v1/chat/completions"),
        (
            {"model": "gpt-4o", "prompt": "x", "tools": [{"type": "function"}]},
            "tools",
            "use /v1/chat/completions",
        ),
        (b"{", None, "not valid JSON"),
    ],
)
async def test_a_mistake_in_a_posted_body_is_told(
    world: World, body: Any, param: str | None, says: str
) -> None:
    answer = await post(world, body)
    assert answer.status == 400
    assert answer.error["param"] == param
    assert says in answer.error["message"]


async def test_a_posted_body_has_the_same_bounds_as_a_chat() -> None:
    world = World(AppSettings(body_limit=50, json_depth=2))
    body = b'{"model":"gpt-4o","prompt":"x","a":[[]]}'
    assert (await post(world, body)).error["code"] == "json_too_deep"
    assert (await post(world, b" " * 51)).status == 413
    assert (await post(world, body, headers={"Content-Encoding": "gzip"})).status == 415


async def test_a_client_that_leaves_while_it_posts_is_only_logged(world: World) -> None:
    await post(world, b"", events=[{"type": "http.disconnect"}])
    assert world.report.end == "client_left"


async def test_while_no_stream_is_taken_it_says_when_to_come_back(world: World) -> None:
    world.streams.accepting = False
    answer = await world.call("GET", "/stream?model=gpt-4o&prompt=x")
    assert (answer.status, answer.error["code"]) == (503, "not_accepting")
    assert answer.error["retry_after"] == 1
    assert answer.header("retry-after") == "1"
