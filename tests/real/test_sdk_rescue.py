"""Official SDKs see one unbroken stream, although another provider had to give the rest of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from tests.real.service import Service, in_thread, open_service
from tests.real.test_sdk_anthropic import streamed
from tests.real.test_sdk_openai import stream, text

from sluice.actors.settings import Timeouts
from sluice.ops.simulator.options import Options

pytestmark = pytest.mark.real

FAULTS = {
    "sim-cut": "provider_cut",
    "sim-cut-reset": "provider_reset",
    "sim-stall": "idle_timeout",
    "sim-garbage": "malformed_chunk",
    "sim-error-in-stream": "provider_error_in_stream",
}


def named(model: str) -> str:
    return f"{model}?write_each=1"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    fallbacks = {named(model): ["sim-ok"] for model in FAULTS}
    options, timeouts = Options(same=True, chunks=60), Timeouts(idle=2, heartbeat=0.1)
    async with open_service(options=options, timeouts=timeouts, fallbacks=fallbacks) as running:
        yield running


async def test_the_openai_sdk_sees_one_unbroken_stream_with_the_whole_text(
    service: Service,
) -> None:
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    wanted = await in_thread(stream, service.base_url, model="sim-ok", **asked)
    for model in FAULTS:
        chunks = await in_thread(stream, service.base_url, model=named(model), **asked)
        assert text(chunks) == text(wanted)
        assert len({(each.id, each.model, each.created) for each in chunks}) == 1
        choices = [choice for each in chunks for choice in each.choices]
        assert [choice.delta.role for choice in choices].count("assistant") == 1
        assert [c.finish_reason for c in choices if c.finish_reason] == ["stop"]
        usages = [each.usage for each in chunks if each.usage is not None]
        assert len(usages) == 1
        assert usages[0].model_extra == {
            "finished_by": {"provider": "simulator", "model": "sim-ok"}
        }


async def test_the_anthropic_sdk_puts_one_message_together(service: Service) -> None:
    wanted = await in_thread(streamed, service, "sim-ok")
    for model in FAULTS:
        message = await in_thread(streamed, service, named(model))
        assert message.content == wanted.content
        assert message.stop_reason == wanted.stop_reason


async def test_an_answer_that_differs_ends_in_one_error_for_the_openai_sdk() -> None:
    fallbacks = {named(model): ["sim-ok"] for model in FAULTS}
    options, timeouts = Options(chunks=60), Timeouts(idle=2)
    async with open_service(options=options, timeouts=timeouts, fallbacks=fallbacks) as service:
        for model, code in FAULTS.items():
            with pytest.raises(openai.APIError) as caught:
                await in_thread(stream, service.base_url, model=named(model))
            assert caught.value.code == code
