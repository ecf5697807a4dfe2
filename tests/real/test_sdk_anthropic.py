"""The official `anthropic` package, unchanged but for its base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message, MessageParam
from tests.real.service import Service, in_thread, open_service

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

HELLO: list[MessageParam] = [{"role": "user", "content": "Tell me of water"}]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with open_service(options=Options(same=True)) as running:
        yield running


def sdk(service: Service) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=service.url, api_key="sk-of-the-client", max_retries=0, timeout=30
    )


def streamed(service: Service, model: str, kinds: list[str] | None = None) -> Message:
    """What the SDK puts together; ``kinds`` takes the types of the events as they come."""
    with (
        sdk(service) as client,
        client.messages.stream(model=model, messages=HELLO, max_tokens=1000) as stream,
    ):
        for event in stream:
            if kinds is not None:
                kinds.append(event.type)
        return stream.get_final_message()


def whole(service: Service, model: str) -> Message:
    with sdk(service) as client:
        return client.messages.create(model=model, messages=HELLO, max_tokens=1000)


def said(message: Message) -> dict[str, Any]:
    """All of an answer but what differs from one request to the next."""
    return message.model_dump(exclude={"id", "model"}, exclude_none=True)


async def test_a_stream_says_what_a_whole_answer_says(service: Service) -> None:
    model = "sim-ok?reasoning=3"
    stream = await in_thread(streamed, service, model)
    answer = await in_thread(whole, service, model)
    assert [block.type for block in stream.content] == ["thinking", "text"]
    assert [block.to_dict() for block in stream.content] == [
        block.to_dict() for block in answer.content
    ]
    assert stream.usage.output_tokens == answer.usage.output_tokens > 0
    assert (stream.stop_reason, answer.stop_reason) == ("end_turn", "end_turn")
    assert (stream.model, answer.model) == (model, model)


async def test_heartbeats_between_any_two_events_do_not_disturb_the_sdk() -> None:
    slow = "sim-ok?chunks=4&delay=0.12&first_delay=0.12"
    async with open_service(
        timeouts=Timeouts(heartbeat=0.03), options=Options(same=True)
    ) as service:
        calm_kinds: list[str] = []
        slow_kinds: list[str] = []
        calm = await in_thread(streamed, service, "sim-ok?chunks=4", calm_kinds)
        late = await in_thread(streamed, service, slow, slow_kinds)
        body = await in_thread(raw, service, slow)
    assert said(late) == said(calm)
    assert slow_kinds == calm_kinds
    assert sum(block.startswith(":") for block in body.split("\n\n")) >= 4


def raw(service: Service, model: str) -> str:
    body = {"model": model, "messages": HELLO, "max_tokens": 1000, "stream": True}
    return httpx2.post(f"{service.url}/v1/messages", json=body, timeout=30).text


async def test_a_clients_credentials_do_not_reach_the_provider(service: Service) -> None:
    await in_thread(streamed, service, "sim-ok")
    (received,) = service.simulator.requests
    assert "sk-of-the-client" not in str(received.headers)


@pytest.mark.parametrize("model", ["sim-cut", "sim-garbage", "sim-error-in-stream", "sim-no-end"])
async def test_a_stream_that_fails_after_its_first_chunk_raises_and_never_looks_complete(
    service: Service, model: str
) -> None:
    kinds: list[str] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        await in_thread(streamed, service, model, kinds)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "api_error"
    assert "text" in kinds
    body = await in_thread(raw, service, model)
    assert "message_stop" not in body
    assert body.count("event: error") == 1
    assert body.rpartition("event: ")[2].startswith("error")


@pytest.mark.parametrize(
    ("model", "raised", "status"),
    [
        ("sim-refuse", anthropic.InternalServerError, 502),
        ("sim-503", anthropic.APIStatusError, 503),
        ("sim-429", anthropic.RateLimitError, 429),
        ("sim-context-length", anthropic.BadRequestError, 400),
        ("unknown", anthropic.NotFoundError, 404),
    ],
)
@pytest.mark.parametrize("ask", [streamed, whole])
async def test_a_failure_before_the_first_byte_is_the_sdks_own_exception(
    service: Service, model: str, raised: type[anthropic.APIStatusError], status: int, ask: Any
) -> None:
    with pytest.raises(raised) as caught:
        await in_thread(ask, service, model)
    assert caught.value.status_code == status
    assert caught.value.request_id is not None
    assert caught.value.response.json()["error"]["message"]


async def test_the_sdk_lists_and_finds_the_models(service: Service) -> None:
    def ask() -> tuple[list[str], str]:
        with sdk(service) as client:
            return [model.id for model in client.models.list()], client.models.retrieve("sim-x").id

    assert await in_thread(ask) == (["sim-ok"], "sim-x")
