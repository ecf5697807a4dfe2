"""Client and provider speak the same format: what passes between them is their own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from tests.real.service import KEY, Service, in_thread, open_formats

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

PATHS = {"anthropic": "/v1/messages", "cohere": "/v2/chat"}
MODELS = {
    "text": "sim-ok?reasoning=3",
    "tool": "sim-tool?reasoning=2",
    "slow": "sim-ok?chunks=4&delay=0.06&pings=0.03",
    "cut": "sim-cut",
    "told": "sim-error-in-stream",
    "long": "sim-context-length",
}
TOOLS: dict[str, list[Any]] = {
    "anthropic": [{"name": "get_level", "input_schema": {"type": "object"}}],
    "cohere": [{"type": "function", "function": {"name": "get_level", "parameters": {}}}],
}
RANDOM = re.compile(r"(msg_|toolu_|call_|req_)[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
IDS = re.compile(r"^id: [0-9a-f]{32}-(\d+)\n", re.MULTILINE)
BOTH = pytest.mark.parametrize("format_", list(PATHS))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    options = Options(same=True)
    timeouts = Timeouts(heartbeat=0.02)
    async with open_formats(PATHS, MODELS, timeouts=timeouts, options=options) as running:
        yield running


def post(url: str, format_: str, model: str, **more: Any) -> httpx2.Response:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me of water"}],
        "max_tokens": 1000,
        **more,
    }
    headers = {
        "x-api-key": KEY,
        "authorization": f"Bearer {KEY}",
        "anthropic-version": "2023-06-01",
    }
    return httpx2.post(url + PATHS[format_], json=body, headers=headers, timeout=30)


async def both(service: Service, format_: str, name: str, **more: Any) -> tuple[str, str]:
    """What the provider says, and what a client of ours hears; without what is random."""
    direct = await in_thread(post, service.simulator.url, format_, MODELS[name], **more)
    through = await in_thread(post, service.url, format_, f"{name}-{format_}", **more)
    assert through.status_code == direct.status_code
    return RANDOM.sub("RANDOM", direct.text), RANDOM.sub("RANDOM", through.text)


@BOTH
async def test_events_are_the_providers_byte_for_byte_but_for_their_ids(
    service: Service, format_: str
) -> None:
    for name in ("text", "tool"):
        direct, through = await both(service, format_, name, stream=True, tools=TOOLS[format_])
        numbers = [int(each) for each in IDS.findall(through)]
        assert numbers == list(range(1, direct.count("data: ") + 1))
        assert IDS.sub("", through) == direct


@BOTH
async def test_pings_and_heartbeats_between_events_change_none_of_them(
    service: Service, format_: str
) -> None:
    direct, through = await both(service, format_, "slow", stream=True)
    assert through.count(": hb\n") >= 3
    quiet = re.compile(r"^(:.*\n+|id: .*\n)|event: ping\n(id: .*\n)?data: .*\n\n", re.MULTILINE)
    assert quiet.sub("", through) == quiet.sub("", direct)


@BOTH
async def test_a_whole_answer_and_a_refusal_are_the_providers_own(
    service: Service, format_: str
) -> None:
    for name in ("text", "tool", "long"):
        direct, through = await both(service, format_, name, tools=TOOLS[format_])
        assert through == direct


@BOTH
async def test_a_request_is_the_clients_but_for_its_model(service: Service, format_: str) -> None:
    unknown = {"x_new": {"b": [1, 2.50], "a": None}}
    await both(service, format_, "text", **unknown)
    direct, through = service.simulator.requests
    assert through.body.replace(" ", "") == direct.body.replace(" ", "")
    assert through.body.count(MODELS["text"]) == 1


@BOTH
async def test_an_answer_that_fails_has_one_error_and_nothing_after_it(
    service: Service, format_: str
) -> None:
    error = {"anthropic": "event: error\n", "cohere": '"ERROR"'}[format_]
    end = {"anthropic": "message_stop", "cohere": '"COMPLETE"'}[format_]
    for name in ("cut", "told"):
        answer = await in_thread(post, service.url, format_, f"{name}-{format_}", stream=True)
        *_, last = answer.text.strip().split("\n\n")
        assert error in last
        assert answer.text.count(error) == 1
        assert end not in answer.text
