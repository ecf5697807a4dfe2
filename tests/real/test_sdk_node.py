"""The official npm package `openai` under Node, unchanged but for its base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.real.service import PATIENCE, Service, open_service

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

CLIENT = Path(__file__).parent / "npm" / "client.mjs"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    timeouts = Timeouts(heartbeat=0.1)
    async with open_service(timeouts=timeouts, options=Options(same=True)) as running:
        yield running


async def node(service: Service, task: str, model: str = "") -> dict[str, Any]:
    """What the client printed."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            ["node", str(CLIENT), service.base_url, task, model], capture_stdout=True
        )
    return msgspec.json.decode(done.stdout, type=dict[str, Any])


async def gathered(service: Service, model: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await node(service, "gather", model))["answer"]
    return answer


def text(chunks: list[dict[str, Any]]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


async def test_a_stream_says_what_a_whole_answer_says(service: Service) -> None:
    chunks = (await node(service, "stream", "sim-ok"))["chunks"]
    whole = await node(service, "whole", "sim-ok")
    message = whole["answer"]["choices"][0]["message"]
    assert text(chunks) == message["content"] != ""
    assert chunks[-1]["usage"] == whole["answer"]["usage"]
    assert len(whole["requestId"]) == 32


async def test_heartbeats_between_events_are_not_seen(service: Service) -> None:
    calm = (await node(service, "stream", "sim-ok?chunks=4"))["chunks"]
    slow = (await node(service, "stream", "sim-ok?chunks=4&delay=0.3&first_delay=0.3"))["chunks"]
    assert text(slow) == text(calm)
    assert len(slow) == len(calm)


async def test_tool_calls_are_put_together(service: Service) -> None:
    answer = await gathered(service, "sim-tool")
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_level"
    assert msgspec.json.decode(call["function"]["arguments"]) == {"river": "Zürich"}


async def test_a_stream_that_is_cut_raises(service: Service) -> None:
    got = await node(service, "stream", "sim-cut")
    assert (got["raised"], got["code"]) == ("APIError", "provider_cut")


@pytest.mark.parametrize(
    ("model", "raised", "status"),
    [
        ("sim-503", "InternalServerError", 503),
        ("sim-context-length", "BadRequestError", 400),
        ("unknown", "NotFoundError", 404),
    ],
)
async def test_a_failure_before_the_first_byte_is_the_packages_own_error(
    service: Service, model: str, raised: str, status: int
) -> None:
    for task in ("stream", "whole"):
        got = await node(service, task, model)
        assert (got["raised"], got["status"]) == (raised, status)


async def test_the_models_are_listed(service: Service) -> None:
    assert await node(service, "models") == {"models": ["sim-ok"]}
