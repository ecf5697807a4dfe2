"""Providers that are too slow, and what their clients hear meanwhile.

Each test scales down the one timeout it is about; the others are the product's defaults.
"""

from __future__ import annotations

import pytest
import trio
from tests.service.raw_provider import DONE, END, HEAD, Caller, coded, said
from tests.service.telling import events_of, outcome_of, text_of
from tests.service.world import HANGS, World, open_world

STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
BEAT = b": hb\n"


async def times_out(
    world: World, model: str, status: int, what: str, *, stream: bool = True
) -> bytes:
    answer = await world.ask(model, stream=stream)
    assert (answer.status, outcome_of(answer)) == (status, f"{what}_timeout")
    await world.slots_are(0)
    assert world.open_calls == 0
    return answer.body


@STREAMED
async def test_a_provider_that_accepts_no_connection_is_a_connect_timeout(*, stream: bool) -> None:
    async with open_world(connect=0.3) as world:
        await times_out(world, "deaf", 504, "connect", stream=stream)


async def test_a_provider_that_never_answers_is_a_first_chunk_timeout() -> None:
    async with open_world(first_chunk=0.3) as world:
        await times_out(world, "sim-silent", 504, "first_chunk")
        assert world.simulator.statistics.disconnects == 1


async def test_a_whole_answer_has_no_first_chunk_timeout() -> None:
    async with open_world(first_chunk=0.1) as world:
        answer = await world.ask("sim-ok?head_delay=0.5", stream=False)
        assert outcome_of(answer) == "whole"


async def test_a_provider_that_opens_its_stream_and_says_nothing_is_a_first_chunk_timeout() -> None:
    async with open_world(first_chunk=0.3) as world:
        await times_out(world, "sim-ok?first_delay=3600", 504, "first_chunk")


async def test_pings_are_no_first_chunk() -> None:
    async with open_world(first_chunk=0.5) as world:
        await times_out(world, "sim-ok?first_delay=3600&pings=0.02", 504, "first_chunk")


async def test_reasoning_is_a_first_chunk() -> None:
    async with open_world(first_chunk=2.0) as world:
        answer = await world.ask("sim-reasoning?reasoning=40&chunks=10&delay=0.06")
        assert outcome_of(answer) == "whole"


async def test_a_provider_that_stalls_in_its_stream_is_an_idle_timeout() -> None:
    async with open_world(idle=0.3) as world:
        body = await times_out(world, HANGS, 200, "idle")
        assert body.count(b'"content":"') >= 6


async def test_heartbeats_to_the_client_do_not_keep_a_stalled_provider_alive() -> None:
    async with open_world(idle=0.5, heartbeat=0.05) as world:
        body = await times_out(world, HANGS, 200, "idle")
        assert body.count(BEAT) >= 2


async def test_pings_of_the_provider_keep_its_stream_alive_up_to_the_total() -> None:
    async with open_world(idle=0.4, total=1.5) as world:
        await times_out(world, "sim-stall?chunks=9&pings=0.05", 200, "total")


async def test_a_stream_that_never_ends_is_a_total_timeout() -> None:
    async with open_world(total=2) as world:
        body = await times_out(world, "sim-ok?chunks=100000&delay=0.01", 200, "total")
        assert body.count(b'"content":"') > 3


@STREAMED
async def test_an_answer_that_does_not_begin_is_a_total_timeout(*, stream: bool) -> None:
    async with open_world(total=0.3, first_chunk=3600) as world:
        await times_out(world, "sim-silent", 504, "total", stream=stream)


async def test_a_whole_answer_that_does_not_end_is_a_total_timeout() -> None:
    async with open_world(total=0.3) as world:
        await times_out(world, "sim-stall", 504, "total", stream=False)


async def test_an_error_body_that_does_not_end_is_a_timeout_like_any_other() -> None:
    async with open_world(total=0.4, first_chunk=0.3) as world:
        head = b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"

        async def serve(caller: Caller) -> None:
            await caller.request()
            await caller.say(head + b"{")
            await caller.closed()

        world.raw.serve = serve
        answer = await world.ask("raw")
        assert outcome_of(answer).endswith("_timeout")


# -- heartbeats --------------------------------------------------------------------------------


async def test_a_client_hears_heartbeats_before_a_provider_answers_and_then_its_answer() -> None:
    async with open_world(heartbeat=0.05) as world:
        answer = await world.ask("sim-ok?head_delay=0.4")
        assert outcome_of(answer) == "whole"
        before, _, _ = answer.body.partition(b"id: ")
        assert before.count(BEAT) >= 2
        assert before.replace(BEAT, b"") == b""


async def test_a_failure_after_a_heartbeat_is_told_in_the_stream() -> None:
    async with open_world(heartbeat=0.05) as world:
        for model, code in [
            ("sim-429?head_delay=0.3", "provider_rate_limited"),
            ("sim-reset?head_delay=0.3", "provider_reset"),
        ]:
            answer = await world.ask(model)
            assert (answer.status, outcome_of(answer)) == (200, code)


async def test_a_first_chunk_timeout_after_a_heartbeat_is_told_in_the_stream() -> None:
    async with open_world(heartbeat=0.05, first_chunk=0.5) as world:
        await times_out(world, "sim-silent", 200, "first_chunk")


async def test_heartbeats_come_between_any_two_events_and_inside_of_none() -> None:
    async with open_world(heartbeat=0.03) as world:
        asked = await world.ask("sim-ok?chunks=8&delay=0.1&same=1")
        at_once = await world.ask("sim-ok?chunks=8&same=1")
        assert asked.body.count(BEAT) >= 8
        assert text_of(asked) == text_of(at_once)
        lines = asked.body.split(b"\n")
        beats = [number for number, line in enumerate(lines) if line == b": hb"]
        assert all(lines[number - 1] in {b"", b": hb"} for number in beats)


async def test_no_heartbeat_falls_into_an_event_of_which_half_has_come() -> None:
    async with open_world(heartbeat=0.05) as world:
        event = said("hello")
        beaten = trio.Event()

        async def serve(caller: Caller) -> None:
            await caller.request()
            await caller.say(HEAD + coded(said("first ") + event[:20]))
            await beaten.wait()
            await caller.say(coded(event[20:] + DONE) + END)

        world.raw.serve = serve
        client = await world.begin("raw")
        while client.buffer.count(b": hb") < 3:
            client.buffer += await client.more()
        beaten.set()
        answer = await world.read(client)
        assert text_of(answer) == "first hello"


async def test_a_talking_provider_needs_no_heartbeats() -> None:
    async with open_world(heartbeat=2.0) as world:
        answer = await world.ask("sim-ok?chunks=60&delay=0.01")
        assert BEAT not in answer.body
        assert len(events_of(answer)) > 60


async def test_a_whole_answer_has_no_heartbeats() -> None:
    async with open_world(heartbeat=0.03) as world:
        answer = await world.ask("sim-ok?head_delay=0.3", stream=False)
        assert outcome_of(answer) == "whole"
        assert BEAT not in answer.body
