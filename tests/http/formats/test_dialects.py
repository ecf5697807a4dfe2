"""The routes of the three formats: one behaviour, each in its own style."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.http.app_world import Answer, World

HELLO = [{"role": "user", "content": "Hello"}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "fast", "messages": HELLO},
    "/v1/messages": {"model": "fast", "messages": HELLO, "max_tokens": 10},
    "/v2/chat": {"model": "fast", "messages": HELLO},
}
FORMATS = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic", "/v2/chat": "cohere"}
EVERY_ROUTE = pytest.mark.parametrize("path", list(ASKED))


@pytest.fixture
def world() -> World:
    return World()


async def post(world: World, path: str, body: Any = None, **more: Any) -> Answer:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body or ASKED[path])
    return await world.call("POST", path, raw, **more)


def told(path: str, answer: Answer) -> str:
    """The message of an error, which must be in the style of ``path``."""
    message: str
    if path == "/v2/chat":
        assert set(answer.json) == {"message"}
        message = answer.json["message"]
        return message
    assert answer.json.get("type") == ("error" if path == "/v1/messages" else None)
    assert "type" in answer.error
    message = answer.error["message"]
    return message


@EVERY_ROUTE
async def test_a_valid_request_becomes_a_job_in_its_format(world: World, path: str) -> None:
    answer = await post(world, path)
    assert (answer.status, answer.body) == (200, b"ran")
    job = world.job
    assert (job.route, job.model.name, job.streamed) == (path, "fast", False)
    assert job.format.name == FORMATS[path]
    body = job.asked.body_for(job.format.name, "other", max_tokens=5)
    assert msgspec.json.decode(body) == {**ASKED[path], "model": "other"}


@EVERY_ROUTE
async def test_a_stream_is_asked_for_by_its_field(world: World, path: str) -> None:
    await post(world, path, {**ASKED[path], "stream": True})
    assert world.job.streamed
    assert world.upstream["stream_options"] == {"include_usage": True}


@EVERY_ROUTE
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not valid JSON"),
        (b'{"model":"fast","max_tokens":1}', 400, "messages is required."),
        (
            b'{"model":"nope","max_tokens":1,"messages":[{"role":"user","content":""}]}',
            404,
            "'nope' does not exist here",
        ),
    ],
)
async def test_a_mistake_is_told_in_the_style_of_the_route(
    world: World, path: str, body: bytes, status: int, says: str
) -> None:
    answer = await post(world, path, body)
    assert answer.status == status
    assert says in told(path, answer)
    assert (world.report.route, world.report.http_status) == (path, status)


@EVERY_ROUTE
async def test_while_no_stream_is_taken_the_answer_is_503_in_the_style_of_the_route(
    world: World, path: str
) -> None:
    world.streams.accepting = False
    answer = await post(world, path)
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert "starting or shutting down" in told(path, answer)


@EVERY_ROUTE
async def test_another_method_is_a_405_in_the_style_of_the_route(world: World, path: str) -> None:
    for method in ("GET", "PUT"):
        answer = await world.call(method, path)
        assert (answer.status, answer.header("allow")) == (405, "POST, OPTIONS")
        assert told(path, answer) == f"{method} is not possible on {path}."
    assert (await world.call("OPTIONS", path)).header("allow") == "POST, OPTIONS"


@EVERY_ROUTE
async def test_a_slash_at_the_end_changes_nothing(world: World, path: str) -> None:
    answer = await world.call("POST", f"{path}/", msgspec.json.encode(ASKED[path]))
    assert answer.status == 200
    assert world.job.route == path


async def test_anthropics_sdk_finds_the_id_of_its_request_where_it_looks(world: World) -> None:
    for body in (None, b"{"):
        answer = await post(world, "/v1/messages", body, headers={"x-request-id": "mine-1"})
        assert answer.header("request-id") == "mine-1"
        assert answer.header("x-request-id") == "mine-1"


async def test_a_model_that_is_not_there_is_told_to_anthropics_sdk_in_its_style(
    world: World,
) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    answer = await world.call("GET", "/v1/models/gpt-99", headers=headers)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert "gpt-99" in told("/v1/messages", answer)


async def test_the_responses_api_is_a_404_that_names_the_routes_of_all_formats(
    world: World,
) -> None:
    answer = await world.call("POST", "/v1/responses", b"{}")
    assert answer.status == 404
    assert all(f"POST {path}" in answer.error["message"] for path in ASKED)
