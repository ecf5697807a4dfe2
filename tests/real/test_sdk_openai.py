"""The official `openai` package, unchanged but for its base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from tests.real.service import KEY, Service, in_thread, open_service

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me of water"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_level",
        "parameters": {"type": "object", "properties": {"river": {"type": "string"}}},
    },
}
HEARTBEATS = Timeouts(heartbeat=0.1)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with open_service(options=Options(same=True)) as running:
        yield running


def sdk(base_url: str, key: str = "sk-of-the-client") -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)


def stream(base_url: str, key: str = "sk-of-the-client", **asked: Any) -> list[ChatCompletionChunk]:
    with sdk(base_url, key) as client:
        return list(client.chat.completions.create(messages=HELLO, stream=True, **asked))


def whole(base_url: str, key: str = "sk-of-the-client", **asked: Any) -> openai.BaseModel:
    with sdk(base_url, key) as client:
        answer = client.chat.completions.create(messages=HELLO, **asked)
        assert isinstance(answer, openai.BaseModel)
        return answer


def said(answer: openai.BaseModel) -> dict[str, Any]:
    """All of an answer but what differs from one request to the next."""
    fields = answer.model_dump(exclude={"id", "created"})
    for choice in fields["choices"]:
        for call in choice.get("delta", choice.get("message")).get("tool_calls") or []:
            call.pop("id")
    return fields


def text(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    return "".join(
        choice.delta.content or ""
        for chunk in chunks
        for choice in chunk.choices
        if choice.index == index
    )


KINDS: list[dict[str, Any]] = [
    {"model": "sim-ok"},
    {"model": "sim-ok?chunk_size=7&write_each=1"},
    {"model": "sim-long"},
    {"model": "sim-ok", "n": 3},
    {"model": "sim-ok", "logprobs": True, "top_logprobs": 2},
    {"model": "sim-ok?reasoning=5", "reasoning_effort": "high"},
    {"model": "sim-tool", "tools": [TOOL]},
    {"model": "sim-ok", "max_tokens": 3},
    {"model": "sim-ok?chunks=0"},
    {"model": "sim-ok?frame_size=300000"},
]


def name_of(asked: dict[str, Any]) -> str:
    return " ".join(str(value) if key == "model" else key for key, value in asked.items())


@pytest.mark.parametrize("asked", KINDS, ids=name_of)
async def test_a_stream_is_the_providers_own_chunk_by_chunk(
    service: Service, asked: dict[str, Any]
) -> None:
    direct = await in_thread(stream, service.simulator.base_url, KEY, **asked)
    through = await in_thread(stream, service.base_url, **asked)
    assert [said(chunk) for chunk in through] == [said(chunk) for chunk in direct]
    assert through[-1].choices[0].finish_reason is not None


@pytest.mark.parametrize("asked", KINDS, ids=name_of)
async def test_a_whole_answer_is_the_providers_own(service: Service, asked: dict[str, Any]) -> None:
    direct = await in_thread(whole, service.simulator.base_url, KEY, **asked)
    through = await in_thread(whole, service.base_url, **asked)
    assert said(through) == said(direct)


async def test_usage_is_told_in_a_stream_to_whoever_asks_for_it(service: Service) -> None:
    options = {"include_usage": True}
    chunks = await in_thread(stream, service.base_url, model="sim-ok", stream_options=options)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def test_usage_is_asked_of_the_provider_in_any_case_and_kept_from_who_did_not_ask(
    service: Service,
) -> None:
    chunks = await in_thread(stream, service.base_url, model="sim-ok")
    assert all(chunk.usage is None for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    (received,) = service.simulator.requests
    assert '"include_usage":true' in received.body


async def test_a_clients_credentials_do_not_reach_the_provider(service: Service) -> None:
    await in_thread(stream, service.base_url, model="sim-ok")
    (received,) = service.simulator.requests
    assert "sk-of-the-client" not in str(received.headers)


@pytest.mark.parametrize(
    ("slow", "gaps"),
    [("", 4), ("&pings=0.05", 4), ("&head_delay=0.35", 4)],
    ids=["a slow provider", "one that pings", "one whose head is late"],
)
async def test_heartbeats_between_any_two_events_do_not_disturb_the_sdk(
    slow: str, gaps: int
) -> None:
    model = "sim-ok?chunks=4&delay=0.35&first_delay=0.35" + slow
    usage = {"include_usage": True}
    async with open_service(timeouts=HEARTBEATS, options=Options(same=True)) as service:
        calm = await in_thread(
            stream, service.base_url, model="sim-ok?chunks=4", stream_options=usage
        )
        chunks = await in_thread(stream, service.base_url, model=model, stream_options=usage)
        body = await in_thread(raw, service.base_url, model)
    assert text(chunks) == text(calm)
    assert len(chunks) == len(calm)
    assert heartbeats_between_events(body) >= gaps


def raw(base_url: str, model: str) -> str:
    body = {"model": model, "messages": HELLO, "stream": True}
    return httpx2.post(f"{base_url}/chat/completions", json=body, timeout=30).text


def heartbeats_between_events(body: str) -> int:
    """Gaps (before the first event, or between two) in which a client got a heartbeat."""
    return sum(block.startswith(":") for block in body.split("\n\n"))


async def test_a_stream_has_an_id_on_every_event_and_its_headers(service: Service) -> None:
    def ask() -> tuple[httpx2.Headers, str]:
        body = {"model": "sim-ok", "messages": HELLO, "stream": True}
        url = f"{service.base_url}/chat/completions"
        answer = httpx2.post(url, json=body, timeout=30, headers={"X-Request-Id": "mine-1"})
        return answer.headers, answer.text

    headers, body = await in_thread(ask)
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-request-id"] == "mine-1"
    assert headers["x-cache"] == "MISS"
    assert headers["x-provider"] == "simulator"
    blocks = body.strip().split("\n\n")
    ids = [block.split("\n")[0] for block in blocks]
    assert ids == [f"id: {headers['x-stream-id']}-{n}" for n in range(1, len(blocks) + 1)]
    assert len(headers["x-stream-id"]) == 32
    assert blocks[-1].endswith("data: [DONE]")


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("sim-cut", "provider_cut"),
        ("sim-cut-reset", "provider_reset"),
        ("sim-garbage", "malformed_chunk"),
        ("sim-error-in-stream", "provider_error_in_stream"),
        ("sim-no-end", "provider_no_end"),
    ],
)
async def test_a_stream_that_fails_after_its_first_chunk_raises_and_never_looks_complete(
    service: Service, model: str, code: str
) -> None:
    got: list[ChatCompletionChunk] = []

    def ask() -> None:
        with sdk(service.base_url) as client:
            answer = client.chat.completions.create(model=model, messages=HELLO, stream=True)
            got.extend(answer)

    with pytest.raises(openai.APIError) as caught:
        await in_thread(ask)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == code
    assert got
    body = await in_thread(raw, service.base_url, model)
    assert "[DONE]" not in body
    assert body.count('"error"') == 1


@pytest.mark.parametrize(
    ("model", "raised"),
    [
        ("sim-refuse", openai.InternalServerError),
        ("sim-reset", openai.InternalServerError),
        ("sim-503", openai.InternalServerError),
        ("sim-429", openai.RateLimitError),
        ("sim-context-length", openai.BadRequestError),
        ("sim-content-policy", openai.BadRequestError),
        ("unknown", openai.NotFoundError),
    ],
)
@pytest.mark.parametrize("ask", [stream, whole])
async def test_a_failure_before_the_first_byte_is_the_sdks_own_exception(
    service: Service, model: str, raised: type[openai.APIStatusError], ask: Any
) -> None:
    with pytest.raises(raised) as caught:
        await in_thread(ask, service.base_url, model=model)
    assert caught.value.request_id is not None
    assert caught.value.response.json()["error"]["message"]


async def test_the_sdk_lists_and_finds_the_models(service: Service) -> None:
    def ask() -> tuple[list[str], str]:
        with sdk(service.base_url) as client:
            return [model.id for model in client.models.list()], client.models.retrieve("sim-x").id

    assert await in_thread(ask) == (["sim-ok"], "sim-x")


# -- on another server ---------------------------------------------------------------------------


async def test_hypercorns_own_http1_streams_the_same_answers_and_errors() -> None:
    async with open_service(options=Options(same=True), http1="hypercorn") as service:
        direct = await in_thread(stream, service.simulator.base_url, KEY, model="sim-ok")
        through = await in_thread(stream, service.base_url, model="sim-ok")
        assert [said(chunk) for chunk in through] == [said(chunk) for chunk in direct]
        assert said(await in_thread(whole, service.base_url, model="sim-ok"))
        with pytest.raises(openai.APIError, match="cut"):
            await in_thread(stream, service.base_url, model="sim-cut")
        with pytest.raises(openai.BadRequestError):
            await in_thread(stream, service.base_url, model="sim-context-length")
