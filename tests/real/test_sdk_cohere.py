"""The official `cohere` package, unchanged but for its base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import cohere
import httpx2
import pytest
from cohere.core.api_error import ApiError
from tests.real.service import Service, in_thread, open_service

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

HELLO: list[Any] = [{"role": "user", "content": "Tell me of water"}]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with open_service(options=Options(same=True)) as running:
        yield running


def sdk(service: Service) -> cohere.ClientV2:
    return cohere.ClientV2(base_url=service.url, api_key="sk-of-the-client", timeout=30)


def streamed(service: Service, model: str) -> list[Any]:
    with sdk(service) as client:
        return list(client.chat_stream(model=model, messages=HELLO))


def whole(service: Service, model: str) -> Any:
    options: Any = {"max_retries": 0}
    with sdk(service) as client:
        return client.chat(model=model, messages=HELLO, request_options=options)


def parts(events: list[Any]) -> list[tuple[str, str]]:
    """The parts of content: their kinds, and what is in them."""
    told: list[tuple[str, str]] = []
    for event in events:
        if event.type == "content-start":
            told.append((event.delta.message.content.type, ""))
        elif event.type == "content-delta":
            kind, text = told[-1]
            told[-1] = (kind, text + getattr(event.delta.message.content, kind))
    return told


async def test_a_stream_says_what_a_whole_answer_says(service: Service) -> None:
    events = await in_thread(streamed, service, "sim-ok?reasoning=3")
    answer = await in_thread(whole, service, "sim-ok?reasoning=3")
    content = answer.message.content
    assert [part.type for part in content] == ["thinking", "text"]
    assert parts(events) == [(part.type, getattr(part, part.type)) for part in content]
    end = events[-1]
    assert (end.type, end.delta.finish_reason) == ("message-end", "COMPLETE")
    assert end.delta.usage == answer.usage
    assert answer.usage.tokens.output_tokens > 0


async def test_heartbeats_between_any_two_events_do_not_disturb_the_sdk() -> None:
    slow = "sim-ok?chunks=4&delay=0.12&first_delay=0.12"
    async with open_service(
        timeouts=Timeouts(heartbeat=0.03), options=Options(same=True)
    ) as service:
        calm = await in_thread(streamed, service, "sim-ok?chunks=4")
        late = await in_thread(streamed, service, slow)
        body = await in_thread(raw, service, slow)
    assert [event.type for event in late] == [event.type for event in calm]
    assert parts(late) == parts(calm)
    assert sum(block.startswith(":") for block in body.split("\n\n")) >= 4


def raw(service: Service, model: str) -> str:
    body = {"model": model, "messages": HELLO, "stream": True}
    return httpx2.post(f"{service.url}/v2/chat", json=body, timeout=30).text


async def test_a_clients_credentials_do_not_reach_the_provider(service: Service) -> None:
    await in_thread(streamed, service, "sim-ok")
    (received,) = service.simulator.requests
    assert "sk-of-the-client" not in str(received.headers)


@pytest.mark.parametrize("model", ["sim-cut", "sim-garbage", "sim-error-in-stream", "sim-no-end"])
async def test_a_stream_that_fails_after_its_first_chunk_says_so_in_its_last_event(
    service: Service, model: str
) -> None:
    events = await in_thread(streamed, service, model)
    *before, end = events
    assert parts(before)[0][1]
    assert (end.type, end.delta.finish_reason) == ("message-end", "ERROR")
    assert end.delta.error
    assert [event.type for event in before].count("message-end") == 0


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("sim-refuse", 502),
        ("sim-503", 503),
        ("sim-429", 429),
        ("sim-context-length", 400),
        ("unknown", 404),
    ],
)
@pytest.mark.parametrize("ask", [streamed, whole])
async def test_a_failure_before_the_first_byte_is_the_sdks_own_exception(
    service: Service, model: str, status: int, ask: Any
) -> None:
    with pytest.raises(ApiError) as caught:
        await in_thread(ask, service, model)
    assert caught.value.status_code == status
    assert caught.value.body["message"]
