"""``/stream``, our own route, as a browser's ``EventSource`` and others see it."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
import pytest
from tests.http.edge_world import Answer
from tests.service.operators_world import until
from tests.service.telling import Event, events_of, outcome_of
from tests.service.world import HANGS, World, open_world, post, request


async def get(world: World, model: str, *headers: str, prompt: str = "hello") -> Answer:
    query = urlencode({"model": model, "prompt": prompt})
    return await world.send(request("GET", f"/stream?{query}", *headers))


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event.name == name]


async def test_it_tells_the_text_the_usage_and_the_end_each_with_an_id() -> None:
    async with open_world() as world:
        answer = await get(world, "sim-ok?chunks=6&same=1")
        assert outcome_of(answer) == "whole"
        events = events_of(answer)
        texts = named(events, "message")
        assert len(texts) == 6
        assert all(list(event.json) == ["text"] for event in texts)
        (usage,) = named(events, "usage")
        assert usage.json["total_tokens"] > 0
        assert events[-1].name == "done"
        assert events[-1].json == {"finish_reason": "stop"}
        assert answer.body.count(b"retry: 1000\n") == 1
        assert answer.body.startswith(b"retry: 1000\n")


async def test_it_says_the_same_to_a_post_and_with_messages() -> None:
    async with open_world() as world:
        said = []
        for fields in (
            {"prompt": "hello"},
            {"messages": [{"role": "user", "content": "hello"}]},
        ):
            body = msgspec.json.encode({"model": "sim-ok?same=1", **fields})
            answer = await world.send(post("/stream", body))
            said.append([event.data for event in named(events_of(answer), "message")])
        got = await get(world, "sim-ok?same=1")
        assert said == [[event.data for event in named(events_of(got), "message")]] * 2


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("sim-cut", "provider_cut"),
        ("sim-garbage", "malformed_chunk"),
        ("sim-no-end", "provider_no_end"),
        ("sim-error-in-stream", "provider_error_in_stream"),
    ],
)
async def test_a_failure_in_the_stream_is_one_event_and_no_done_follows(
    model: str, code: str
) -> None:
    async with open_world() as world:
        answer = await get(world, f"{model}?chunks=9")
        assert (answer.status, outcome_of(answer)) == (200, code)
        events = events_of(answer)
        assert [event.name for event in events].count("failure") == 1
        assert not named(events, "done")
        error = events[-1].json["error"]
        assert error["stage"] == "streaming"
        assert error["type"] in {"provider_error", "serialization_error"}


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("sim-429-retry-after", 429, "provider_rate_limited"),
        ("sim-reset", 502, "provider_reset"),
        ("nobody", 502, "provider_refused"),
        ("unknown", 404, "model_not_found"),
    ],
)
async def test_a_failure_before_the_first_byte_is_told_in_our_own_style(
    model: str, status: int, code: str
) -> None:
    async with open_world() as world:
        answer = await get(world, model)
        assert (answer.status, outcome_of(answer)) == (status, code)
        error = msgspec.json.decode(answer.body)["error"]
        assert {"message", "type", "stage", "code", "param"} <= set(error)
        if status == 429:
            assert answer.headers["retry-after"] == str(error["retry_after"]) == "1"


async def test_an_event_source_that_reconnects_is_told_that_there_is_nothing_more() -> None:
    async with open_world() as world:
        first = await get(world, "sim-ok")
        last_id = events_of(first)[-1].id
        client = await world.connect()
        query = urlencode({"model": "sim-ok", "prompt": "hello"})
        head = request("GET", f"/stream?{query}", f"Last-Event-ID: {last_id}")
        answer = await client.request(head)
        assert (answer.status, answer.body) == (204, b"")
        assert world.simulator.statistics.requests == 1
        await client.leave()


async def test_a_reconnect_by_another_stream_takes_no_slot_and_counts_as_no_request() -> None:
    async with open_world(limit=1) as world:
        held = await world.begin(HANGS)
        await until(lambda: any(each.head_sent for each in world.live))
        client = await world.connect()
        query = urlencode({"model": "sim-ok", "prompt": "hello"})
        head = request("GET", f"/stream?{query}", "Last-Event-ID: whatever-1")
        assert (await client.request(head)).status == 204
        assert (await get(world, "sim-ok")).status == 429
        await client.leave()
        await held.leave()
        world.expected.update(["success", "left streaming"])


async def test_a_mistake_names_its_parameter() -> None:
    async with open_world() as world:
        for query, param in [
            ("prompt=x", "model"),
            ("model=sim-ok", "prompt"),
            ("model=sim-ok&prompt=", "prompt"),
            ("model=sim-ok&prompt=x&model=sim-cut", "model"),
        ]:
            answer = await world.send(request("GET", f"/stream?{query}"))
            assert answer.status == 400
            assert msgspec.json.decode(answer.body)["error"]["param"] == param


async def test_heartbeats_leave_an_event_source_with_the_same_events() -> None:
    async with open_world(heartbeat=0.03) as world:
        slow = await get(world, "sim-ok?chunks=5&same=1&delay=0.1&head_delay=0.2")
        fast = await get(world, "sim-ok?chunks=5&same=1")
        assert slow.body.count(b": hb\n") >= 4
        assert [event.data for event in named(events_of(slow), "message")] == [
            event.data for event in named(events_of(fast), "message")
        ]
