"""The replica's limit, its health, and its end: who is served, who is told to come back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from tests.http.edge_world import RawClient
from tests.service.operators_world import until
from tests.service.telling import events_of, outcome_of
from tests.service.world import CHAT, HANGS, World, chat, open_world, request

HELD = "sim-ok?chunks=20&hold=8"


async def hold(world: World, count: int) -> list[RawClient]:
    """``count`` streams, each in its middle until `Simulator.release`."""
    before = world.simulator.statistics.held
    clients = [await world.begin(HELD, f"held {number}") for number in range(count)]
    await world.simulator.wait(lambda now: now.held == before + count)
    return clients


async def all_are_whole(world: World, clients: list[RawClient]) -> None:
    world.simulator.release()
    for client in clients:
        assert outcome_of(await world.read(client)) == "whole"


async def health(world: World, path: str = "/health") -> tuple[int, dict[str, Any]]:
    answer = await world.get(path)
    return answer.status, msgspec.json.decode(answer.body)


# -- the limit ---------------------------------------------------------------------------------


async def test_the_hundredth_stream_is_served_and_the_hundred_and_first_told_to_come_back() -> None:
    async with open_world() as world:
        clients = await hold(world, 100)
        for stream in (True, False):
            late = await world.ask("sim-ok", stream=stream)
            assert (late.status, outcome_of(late)) == (429, "no_capacity")
            assert int(late.headers["retry-after"]) >= 1
        assert world.simulator.statistics.requests == 100
        assert (await world.slots()).active == 100
        await all_are_whole(world, clients)
        assert outcome_of(await world.ask("sim-ok")) == "whole"


async def test_one_slot_is_enough_for_any_number_of_requests_after_each_other() -> None:
    async with open_world(limit=1) as world:
        for model in ["sim-ok", "sim-cut", "sim-reset", "nobody", "sim-429", "sim-ok"] * 5:
            assert outcome_of(await world.ask(model)) != "no_capacity"


async def test_a_request_that_is_wrong_takes_no_slot() -> None:
    async with open_world(limit=1) as world:
        (client,) = await hold(world, 1)
        assert (await world.ask("unknown")).status == 404
        assert (await world.ask("sim-ok", temperature="hot")).status == 400
        await all_are_whole(world, [client])


async def test_what_is_not_a_stream_needs_no_slot() -> None:
    async with open_world(limit=1) as world:
        (client,) = await hold(world, 1)
        for path in ("/health", "/health/ready", "/health/live", "/metrics", "/v1/models"):
            assert (await world.get(path)).status == 200
        await all_are_whole(world, [client])


async def test_the_gauges_tell_the_slots_in_use_and_the_limit() -> None:
    async with open_world(limit=30) as world:
        clients = await hold(world, 7)
        samples = await world.samples()
        assert samples["sse_active_connections", ()] == 7
        assert samples["sse_connection_limit", ()] == 30
        assert samples["sse_provider_connections", tuple(
            sorted({"provider": "simulator", "state": "active"}.items())
        )] == 7  # fmt: skip
        await all_are_whole(world, clients)


# -- health ------------------------------------------------------------------------------------


async def test_the_service_is_degraded_from_eighty_percent_of_its_limit_on() -> None:
    async with open_world(limit=10) as world:
        clients = await hold(world, 7)
        assert (await health(world))[1]["status"] == "healthy"
        clients += await hold(world, 1)
        status, told = await health(world)
        assert (status, told["status"]) == (200, "degraded")
        assert "8 of 10 connections" in told["reasons"][0]
        assert told["metrics"]["active_connections"] == 8
        clients += await hold(world, 2)
        assert (await health(world))[0] == 200
        assert (await health(world, "/health/ready"))[0] == 200
        await all_are_whole(world, clients)
        await world.slots_are(0)
        assert (await health(world))[1]["status"] == "healthy"


async def test_failures_of_providers_are_the_error_rate_and_mistakes_of_clients_are_not() -> None:
    async with open_world() as world:
        for _ in range(3):
            await world.ask("sim-ok")
            await world.ask("unknown")
        await world.has_counted()
        assert (await health(world))[1]["metrics"]["error_rate_percent"] == 0
        await world.ask("sim-cut")
        await world.has_counted()
        assert (await health(world))[1]["metrics"]["error_rate_percent"] == 25


@pytest.mark.parametrize("actor", ["metrics", "connections"])
async def test_an_actor_that_does_not_answer_makes_the_service_degraded_not_deaf(
    actor: str,
) -> None:
    async with open_world() as world:
        await world.worker.system.pause(actor)
        status, told = await health(world)
        assert (status, told["status"]) == (200, "degraded")
        assert f"The actor {actor} does not answer." in told["reasons"]
        assert (await health(world, "/health/live"))[0] == 200
        await world.worker.system.resume(actor)
        assert (await health(world))[1]["status"] == "healthy"


async def test_streams_go_on_while_the_metrics_are_paused_and_all_are_counted_after_it() -> None:
    async with open_world() as world:
        await world.worker.system.pause("metrics")
        for model in ["sim-ok", "sim-cut", "sim-429", "unknown"] * 20:
            await world.ask(model)
        await world.worker.system.resume("metrics")
        await world.has_counted()


# -- the end -----------------------------------------------------------------------------------


async def test_a_draining_service_says_so_and_refuses_new_streams_while_old_ones_end() -> None:
    async with open_world(drain=30) as world:
        clients = await hold(world, 10)
        kept = await world.begin("sim-ok", keep=True)
        await world.read(kept)
        async with world.ending():
            await until(lambda: world.worker.state == "draining")
            await kept.send(chat("sim-ok", keep=True))
            for late in (await world.ask("sim-ok"), await world.read(kept)):
                assert (late.status, outcome_of(late)) == (503, "not_accepting")
                assert int(late.headers["retry-after"]) >= 1
            assert (await health(world))[0] == 503
            assert (await health(world, "/health/ready"))[0] == 503
            assert (await health(world, "/health/live"))[0] == 200
            await all_are_whole(world, clients)
            assert await kept.closed()
        assert world.simulator.statistics.requests == 11


@pytest.mark.parametrize("cancelled", [False, True], ids=["drained", "cancelled"])
async def test_streams_that_outlive_the_drain_get_one_error_and_a_proper_end(
    *, cancelled: bool
) -> None:
    async with open_world(drain=3600 if cancelled else 0.3) as world:
        streams = [await world.begin(HANGS) for _ in range(10)]
        silent = [await world.begin("sim-silent", stream=stream) for stream in (True, False)]
        await world.simulator.wait(lambda now: now.open == 12)
        await until(lambda: sum(each.head_sent for each in world.live) == 10)
        async with world.ending(cancelled=cancelled):
            for client in streams:
                answer = await world.read(client)
                assert (answer.status, outcome_of(answer)) == (200, "stopping")
                assert len(events_of(answer)) > 5
                assert await client.closed()
            for client in silent:
                answer = await world.read(client)
                assert (answer.status, outcome_of(answer)) == (503, "stopping")
                assert int(answer.headers["retry-after"]) >= 1
        assert world.open_calls == 0
        assert world.live == []


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    async with open_world(drain=0.3) as world:
        stuck = await world.begin("sim-ok?chunks=50000&chunk_size=20", receive_buffer=4096)
        await until(lambda: any(each.head_sent for each in world.live))
        with trio.fail_after(20):
            async with world.ending():
                pass
        assert world.live == []
        assert b"[DONE]" not in await stuck.rest()


async def test_clients_that_send_half_a_request_do_not_hold_up_the_end() -> None:
    async with open_world(drain=0.3) as world:
        for data in (b"", b"POST /v1/chat", request("POST", CHAT, "Content-Length: 9")):
            await (await world.connect()).send(data)
        await until(lambda: world.edge().open == 3)
        with trio.fail_after(20):
            async with world.ending():
                pass


async def test_an_ended_service_refuses_connections() -> None:
    async with open_world(drain=0.3) as world:
        async with world.ending():
            pass
        with pytest.raises(OSError, match="refused"):
            await world.connect()
