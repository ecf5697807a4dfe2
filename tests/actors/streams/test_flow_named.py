"""A stream whose events have names: through a flow to a client of its format, and of another."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import trio
import trio.testing
from tests.actors.fakes import FakeClient, FakePoller, FakeUpstream
from tests.actors.streams.test_flow import ID, TIMEOUTS

from sluice.actors.failures import Failure
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import Chunk, ClientFormat, Event, ProviderFormat
from sluice.actors.formats.sse import SseEvent
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.pump import Pump
from sluice.http.formats.openai_format import OpenAIClient


def event(name: str, **fields: object) -> bytes:
    data = json.dumps({"type": name, "of_the_future": None} | fields)
    return f"event: {name}\ndata: {data}\n\n".encode()


def content(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return event("content_block_delta", index=0, delta=delta)


PING = event("ping")
START = event("message_start", message={"id": "m", "usage": {"input_tokens": 1}})
STOP = event("message_stop", padding="  ")
ERROR = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


class SameFormat(OpenAIClient):
    """A client of a format whose events are named, in so far as a flow has to do with it."""

    def __init__(self, name: str) -> None:
        super().__init__(usage=True)
        self.name = name

    def render(self, said: SseEvent, chunk: Chunk) -> SseEvent:  # type: ignore[override]
        return said

    def end(self) -> Sequence[Event]:
        raise AssertionError("the provider's own end marker passes")


class Bench:
    def __init__(self, provider: ProviderFormat, client: ClientFormat) -> None:
        poller = FakePoller()
        self.upstream = FakeUpstream(poller)
        self.client = FakeClient(direct=False)
        self.flow = Flow(
            ID,
            self.upstream,
            self.client,
            provider_format=provider,
            client_format=client,
            timeouts=TIMEOUTS,
            pump=Pump(lambda: poller, lambda _: None),
            called_at=trio.current_time(),
            opening=self.opening,
        )

    def opening(self) -> bytes:
        self.client.start(200, [])
        return b""

    async def relay(self) -> None:
        flow = self.flow
        while not flow.ended:
            await flow.next()
            if flow.failure is not None:
                await flow.fail(flow.failure, 1)
                raise flow.failure
            if flow.pending and not flow.ended:
                await flow.flush()
        await flow.finish()


def anthropic() -> Bench:
    return Bench(AnthropicProvider(), SameFormat("anthropic"))


def without_ids(received: bytes) -> bytes:
    """What was received, whose ids must count up from 1."""
    lines = received.split(b"\n")
    ids = [line for line in lines if line.startswith(b"id: ")]
    assert ids == [f"id: {ID}-{n}".encode() for n in range(1, len(ids) + 1)]
    return b"\n".join(line for line in lines if not line.startswith(b"id: "))


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
async def test_frames_pass_byte_for_byte_but_for_ids_and_the_end_marker_is_the_providers(
    size: int, autojump_clock: trio.testing.MockClock
) -> None:
    whole = START + PING + content("Hé") + content("llo") + STOP
    at = anthropic()
    at.upstream.say(*[whole[each : each + size] for each in range(0, len(whole), size)])
    at.upstream.end()
    await at.relay()
    assert without_ids(at.client.received) == whole
    assert at.client.ended


async def test_coheres_last_event_is_its_end_marker_and_passes_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    end = event("message-end", delta={"finish_reason": "COMPLETE", "usage": {}})
    start = event("message-start")
    at = Bench(CohereProvider(), SameFormat("cohere"))
    at.upstream.end(start + end)
    await at.relay()
    assert without_ids(at.client.received) == start + end


async def test_an_error_in_the_stream_ends_it_without_an_end_marker(
    autojump_clock: trio.testing.MockClock,
) -> None:
    at = anthropic()
    at.upstream.end(START + content("a") + ERROR + STOP)
    with pytest.raises(Failure) as caught:
        await at.relay()
    assert caught.value.code == "provider_error_in_stream"
    assert b"message_stop" not in at.client.received
    assert without_ids(at.client.received).startswith(START + content("a"))


async def test_an_end_without_an_end_marker_is_a_failure(
    autojump_clock: trio.testing.MockClock,
) -> None:
    at = anthropic()
    at.upstream.end(START + content("a"))
    with pytest.raises(Failure) as caught:
        await at.relay()
    assert caught.value.code == "provider_no_end"


async def test_pings_re_arm_idle_and_not_first_chunk(
    autojump_clock: trio.testing.MockClock,
) -> None:
    at = anthropic()
    started = trio.current_time()

    async def ping() -> None:
        at.upstream.say(START)
        while True:
            at.upstream.say(PING)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ping)
        with pytest.raises(Failure) as caught:
            await at.relay()
        nursery.cancel_scope.cancel()
    assert caught.value.code == "first_chunk_timeout"
    assert trio.current_time() - started == pytest.approx(TIMEOUTS.first_chunk, abs=1)


async def test_a_client_of_another_format_gets_its_own_events_and_its_own_end_marker(
    autojump_clock: trio.testing.MockClock,
) -> None:
    at = Bench(AnthropicProvider(), OpenAIClient(usage=False, model="m"))
    at.upstream.end(START + PING + content("Hi") + STOP)
    await at.relay()
    said = without_ids(at.client.received).split(b"\n\n")
    assert said[-2:] == [b"data: [DONE]", b""]
    chunks = [json.loads(each.removeprefix(b"data: ")) for each in said[:-2]]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hi"},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert at.flow.first_content_at is not None
