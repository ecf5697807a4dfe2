"""Clients that go, or stop reading, at every moment: the provider's call ends, the slot is free."""

from __future__ import annotations

import random
import socket

import pytest
import trio
from tests.http.edge_world import RawClient
from tests.service.operators_world import until
from tests.service.raw_provider import HEAD, Caller, coded, said
from tests.service.telling import outcome_of
from tests.service.world import CHAT, HANGS, World, chat, open_world, post, request

from sluice.ops.config import EdgeLimits

BIG = "sim-ok?chunks=50000&chunk_size=20"
"""Some fifteen megabytes: more than all the buffers on the way."""
SMALL_BUFFER = 4096


async def first_chunk(client: RawClient) -> None:
    """Return when ``client`` has read an event."""
    while b'"content"' not in client.buffer:
        client.buffer += await client.more()


async def provider_sees_it_gone(world: World, count: int = 1) -> None:
    await world.simulator.wait(lambda now: now.disconnects == count and not now.open)
    await world.slots_are(0)


def half_close(client: RawClient) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.socket.shutdown(socket.SHUT_WR)


async def go(client: RawClient, how: str) -> None:
    """Leave by a proper close, by a reset, or by half a close."""
    if how == "half closed":
        half_close(client)
        return
    if how == "reset":
        client.reset_on_leaving()
    await client.leave()


HOWS = pytest.mark.parametrize("how", ["closed", "half closed", "reset"])


@HOWS
async def test_a_client_that_leaves_before_the_first_byte_frees_provider_and_slot(how: str) -> None:
    async with open_world() as world:
        client = await world.begin("sim-silent")
        await world.simulator.wait(lambda now: now.open == 1)
        await go(client, how)
        await provider_sees_it_gone(world)
        world.expected.update(["success", "before_first_chunk left"])


@HOWS
async def test_a_client_that_leaves_while_a_provider_is_dialled_frees_the_slot(how: str) -> None:
    async with open_world() as world:
        client = await world.begin("deaf")
        await world.slots_are(1)
        await go(client, how)
        await world.slots_are(0)
        world.expected.update(["success", "before_first_chunk left"])


@HOWS
async def test_a_client_that_leaves_between_head_and_first_chunk_frees_provider_and_slot(
    how: str,
) -> None:
    async with open_world() as world:
        asked, closed = trio.Event(), trio.Event()

        async def serve(caller: Caller) -> None:
            await caller.request()
            await caller.say(HEAD)
            asked.set()
            await caller.closed()
            closed.set()

        world.raw.serve = serve
        client = await world.begin("raw")
        await asked.wait()
        await go(client, how)
        await closed.wait()
        world.expected.update(["success", "before_first_chunk left"])


@HOWS
async def test_a_client_that_leaves_in_the_middle_frees_provider_and_slot(how: str) -> None:
    async with open_world() as world:
        client = await world.begin("sim-ok?chunks=20&hold=8")
        await first_chunk(client)
        await world.simulator.wait(lambda now: now.held == 1)
        await go(client, how)
        await until(lambda: not world.open_calls)
        world.simulator.release()
        await world.simulator.wait(lambda now: not now.open)
        world.expected.update(["success", "left streaming"])


@HOWS
async def test_a_client_that_leaves_while_its_provider_talks_frees_provider_and_slot(
    how: str,
) -> None:
    async with open_world() as world:
        client = await world.begin("sim-ok?chunks=100000&delay=0.001")
        await first_chunk(client)
        await go(client, how)
        await provider_sees_it_gone(world)
        world.expected.update(["success", "left streaming"])


@HOWS
async def test_a_client_that_leaves_while_its_bytes_wait_for_it_frees_provider_and_slot(
    how: str,
) -> None:
    async with open_world() as world:
        client = await world.begin(BIG, receive_buffer=SMALL_BUFFER)
        await first_chunk(client)
        await until(lambda: any(each.flow and each.flow.chunks for each in world.live))
        await go(client, how)
        await provider_sees_it_gone(world)
        world.expected.update(["success", "left streaming"])


@HOWS
async def test_a_client_that_leaves_during_a_whole_answer_frees_provider_and_slot(how: str) -> None:
    async with open_world() as world:
        client = await world.begin("sim-ok?head_delay=3600", stream=False)
        await world.simulator.wait(lambda now: now.open == 1)
        await go(client, how)
        await provider_sees_it_gone(world)
        world.expected.update(["success", "before_first_chunk left"])


async def test_a_client_that_leaves_after_its_whole_answer_was_served() -> None:
    async with open_world() as world:
        client = await world.begin("sim-ok", keep=True)
        await world.read(client)
        client.reset_on_leaving()
        await client.leave()
        await until(lambda: world.edge().open <= 1)


async def test_a_client_that_leaves_with_its_head_or_body_half_sent_is_no_request() -> None:
    async with open_world() as world:
        for data in (
            b"",
            b"\r\n",
            b"POST /v1/chat",
            request("POST", CHAT, "Content-Length: 100"),
            post(CHAT, b"{" * 50)[:-20],
        ):
            client = await world.connect()
            await client.send(data)
            await client.leave()
        await until(lambda: world.edge().accepted == 5)
        world.expected.update({"before_first_chunk left": 2})
        await world.has_counted()
        assert world.simulator.statistics.requests == 0


# -- clients that stop reading -----------------------------------------------------------------


async def test_a_client_that_stops_reading_loses_its_slot_after_the_write_timeout() -> None:
    async with open_world(client_write=0.4) as world:
        client = await world.begin(BIG, receive_buffer=SMALL_BUFFER)
        await first_chunk(client)
        await provider_sees_it_gone(world)
        world.expected.update(["timeout", "timeout_error streaming", "stalled streaming"])
        assert b"[DONE]" not in await client.rest()


async def test_a_client_that_stops_reading_a_whole_answer_loses_its_slot_too() -> None:
    async with open_world(client_write=0.4) as world:
        big = BIG.replace("50000", "500000").replace("&chunk_size=20", "&chunk_size=2")
        client = await world.begin(big, stream=False, receive_buffer=SMALL_BUFFER)
        await until(lambda: bool(world.live))
        await until(lambda: not world.live)
        world.expected.update(["timeout", "timeout_error streaming", "before_first_chunk stalled"])
        await client.leave()


async def test_a_client_that_stops_reading_an_error_of_ours_is_let_go() -> None:
    async with open_world(client_write=0.4) as world:
        client = await world.connect(SMALL_BUFFER)
        await client.send(request("GET", "/metrics") * 200)
        await until(lambda: world.edge().open == 1)
        await until(lambda: world.edge().open == 0)


async def test_a_provider_is_not_read_faster_than_its_client_reads() -> None:
    async with open_world() as world:
        said_bytes = 0
        piece = coded(said("x" * 60_000))

        async def serve(caller: Caller) -> None:
            nonlocal said_bytes
            await caller.request()
            await caller.say(HEAD)
            while True:
                await caller.say(piece)
                said_bytes += len(piece)

        world.raw.serve = serve
        client = await world.begin("raw", receive_buffer=SMALL_BUFFER)
        await first_chunk(client)
        before = -1
        with trio.fail_after(30):
            while said_bytes != before:
                before = said_bytes
                await world.get("/health")
                await world.ask("sim-ok?chunks=200&delay=0.001")
        assert said_bytes < 32 * 1024 * 1024
        (stream,) = world.live
        assert stream.flow is not None
        assert len(stream.flow.pending) < 2 * 1024 * 1024
        await client.leave()
        await until(lambda: world.raw.ended == 1)
        world.expected.update(["success", "left streaming"])


async def test_a_client_that_reads_slowly_gets_its_whole_answer() -> None:
    async with open_world(client_write=5) as world:
        client = await world.begin("sim-ok?chunks=5000&chunk_size=10", receive_buffer=SMALL_BUFFER)
        answer = await world.read(client)
        assert outcome_of(answer) == "whole"
        assert len(answer.body) > 500_000


async def test_others_stream_on_while_a_client_does_not_read() -> None:
    async with open_world() as world:
        stuck = await world.begin(BIG, receive_buffer=SMALL_BUFFER)
        await first_chunk(stuck)
        for _ in range(10):
            assert outcome_of(await world.ask("sim-ok?chunks=50&write_each=1")) == "whole"
        await stuck.leave()
        world.expected.update(["success", "left streaming"])


# -- many --------------------------------------------------------------------------------------


async def test_five_hundred_clients_that_leave_at_random_leave_nothing_behind() -> None:
    chance = random.Random(20261124)  # noqa: S311 -- it must be the same again
    models = [
        "sim-silent",
        HANGS,
        "sim-ok?chunks=40&delay=0.01",
        "sim-ok?chunks=3000&chunk_size=8",
        "sim-trickle?chunks=3",
        "sim-cut?chunks=9&delay=0.01",
        "sim-429",
        "nobody",
        "deaf",
    ]
    async with open_world(limit=20, edge=EdgeLimits(connections=2000)) as world:
        answered: list[str] = []

        async def come_and_go(model: str, patience: float, how: str) -> None:
            client = await world.connect(SMALL_BUFFER)
            with trio.move_on_after(patience):
                await client.send(chat(model, stream=model != "nobody"))
                answered.append(outcome_of(await client.answer()))
            await go(client, how)
            if how == "half closed":
                await client.rest()

        async with trio.open_nursery() as nursery:
            for number in range(500):
                how = chance.choice(["closed", "half closed", "reset"])
                model, patience = chance.choice(models), chance.uniform(0, 1.5)
                if number % 5 == 0:  # some wait for their answer, however slow the machine
                    model, patience = chance.choice(ANSWERED), PATIENCE
                nursery.start_soon(come_and_go, model, patience, how)
        await until(lambda: not world.live)
        await until(lambda: world.edge().open == 0)
        await world.simulator.wait(lambda now: not now.open)
        assert (await world.slots()).active == world.open_calls == 0
        assert len(set(answered)) > 3
        found = await world.counted()
        assert found["success"] >= found["left streaming"] + found["before_first_chunk left"] > 50
        assert found["failure"] == sum(found[f"provider_error {at}"] for at in STAGES)
        turned_away = found["connection_pool_exhausted admission"]
        assert turned_away >= answered.count("no_capacity") > 0
        assert found["success"] + found["failure"] + turned_away <= 500
        world.expected = found


STAGES = ("provider_call", "streaming")
ANSWERED = ["sim-trickle?chunks=3", "sim-cut?chunks=9&delay=0.01", "sim-429", "nobody"]
PATIENCE = 30.0
