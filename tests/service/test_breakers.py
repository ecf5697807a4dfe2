"""A provider that fails is left alone: the whole service in one process, in front of a simulator.

`World.is_well` shows at the end of each test that no permit and no probe is left.
"""

from __future__ import annotations

import msgspec
import pytest
import trio
from msgspec.structs import replace
from tests.service.operators_world import total, until
from tests.service.telling import outcome_of
from tests.service.world import HANGS, World, open_world

from sluice.actors.breakers.breaker import STATES, State
from sluice.actors.settings import BreakerSettings
from sluice.ops.control.breaking import standings
from sluice.ops.control.protocol import Refused
from sluice.ops.control.worker import ControlledWorker

QUICK = BreakerSettings(failures=3, window=30, cooldown=0.3)
LASTING = BreakerSettings(failures=3, window=30, cooldown=600)
NAME = "simulator"


async def becomes(world: World, state: State) -> None:
    """Return when the breaker of the simulator is in ``state``."""
    await until(lambda: world.worker.permits.state(NAME) == state)


async def reached(world: World, count: int) -> None:
    """Return when so many requests have come to the simulator."""
    await world.simulator.wait(lambda now: now.requests == count)


async def opens(world: World, model: str = "sim-503", times: int = 3) -> None:
    for _ in range(times):
        assert outcome_of(await world.ask(model)) != "breaker_open"
    await becomes(world, "open")


async def health(world: World) -> tuple[str, str]:
    """What ``/health`` says of itself, and of the simulator."""
    said = msgspec.json.decode((await world.get("/health")).body)
    return said["status"], said["checks"]["providers"][NAME]


@pytest.mark.parametrize(
    "model", ["sim-503", "sim-429", "sim-500", "sim-reset", "sim-cut", "sim-garbage", "sim-html"]
)
async def test_a_provider_that_fails_again_and_again_is_not_called_any_more(model: str) -> None:
    async with open_world(breaker=LASTING) as world:
        await opens(world, model)
        for stream in (True, False):
            refused = await world.ask("sim-ok", stream=stream)
            assert (refused.status, outcome_of(refused)) == (503, "breaker_open")
            assert 590 < int(refused.headers["retry-after"]) <= 600
        assert world.simulator.statistics.requests == 3
        assert await health(world) == ("degraded", "down")
        samples = await world.samples()
        assert total(samples, "sse_circuit_breaker_state", provider=NAME) == STATES.index("open")
        assert total(samples, "sse_circuit_breaker_state", provider="raw") == 0
        assert total(samples, "sse_circuit_breaker_failures_total", provider=NAME) == 3
        assert total(samples, "sse_circuit_breaker_refused_total", provider=NAME) == 2
        assert total(samples, "sse_circuit_breaker_model_state", model="sim-*") == 2
        assert total(samples, "sse_provider_requests_total", provider=NAME) == 3


@pytest.mark.parametrize(
    "model", ["sim-context-length", "sim-content-policy", "sim-404", "sim-401"]
)
async def test_what_the_client_or_our_key_is_to_blame_for_opens_nothing(model: str) -> None:
    async with open_world(breaker=LASTING) as world:
        for _ in range(6):
            assert outcome_of(await world.ask(model)) != "breaker_open"
        assert world.worker.permits.state(NAME) == "closed"
        assert total(await world.samples(), "sse_circuit_breaker_failures_total") == 0


async def test_timeouts_open_it_and_clients_that_leave_do_not() -> None:
    async with open_world(breaker=LASTING, first_chunk=0.2) as world:
        for number in range(1, 5):
            client = await world.begin("sim-silent?head_delay=60")
            await reached(world, number)
            await client.leave()
            await world.slots_are(0)
            world.expected.update(["success", "before_first_chunk left"])
        assert world.worker.permits.state(NAME) == "closed"
        await opens(world, "sim-silent")


async def test_after_the_cooldown_one_probe_is_let_through_and_its_success_closes() -> None:
    async with open_world(breaker=QUICK) as world:
        await opens(world)
        await becomes(world, "half_open")
        assert await health(world) == ("degraded", "degraded")
        probe = await world.begin("sim-ok?chunks=4&hold=0")
        await world.simulator.wait(lambda now: now.held == 1)
        for _ in range(3):
            assert outcome_of(await world.ask("sim-ok")) == "breaker_open"
        assert world.simulator.statistics.requests == 4
        world.simulator.release()
        assert outcome_of(await world.read(probe)) == "whole"
        await becomes(world, "closed")
        assert outcome_of(await world.ask("sim-ok")) == "whole"
        assert await health(world) == ("healthy", "ok")


async def test_a_probe_whose_client_leaves_makes_room_for_the_next() -> None:
    async with open_world(breaker=QUICK) as world:
        await opens(world)
        await becomes(world, "half_open")
        probe = await world.begin("sim-silent")
        await world.simulator.wait(lambda now: now.requests == 4)
        await probe.leave()
        await world.slots_are(0)
        world.expected.update(["success", "before_first_chunk left"])
        assert outcome_of(await world.ask("sim-ok")) == "whole"
        await becomes(world, "closed")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_client_that_leaves_while_the_probe_is_asked_for_reaches_nobody_and_wedges_nothing(
    *, stream: bool
) -> None:
    async with open_world(breaker=QUICK) as world:
        await opens(world)
        await becomes(world, "half_open")
        system = world.worker.system
        await system.pause("breakers/simulator")
        client = await world.begin("sim-ok", stream=stream)
        await until(lambda: system.inspect("breakers/simulator").mailbox.waiting > 0)  # type: ignore[union-attr]
        await client.leave()
        await until(lambda: all(each.interruption for each in world.live))
        await system.resume("breakers/simulator")
        await world.slots_are(0)
        world.expected.update(["success", "before_first_chunk left"])
        assert outcome_of(await world.ask("sim-ok")) == "whole"
        assert world.simulator.statistics.requests == 4
        await becomes(world, "closed")


async def test_a_probe_has_succeeded_at_its_first_content_whatever_comes_after() -> None:
    async with open_world(breaker=QUICK) as world:
        await opens(world)
        await becomes(world, "half_open")
        probe = await world.begin(HANGS)
        await becomes(world, "closed")
        await probe.leave()
        world.expected.update(["success", "left streaming"])


async def test_an_outage_lets_at_most_one_probe_through_in_a_cooldown() -> None:
    async with open_world(breaker=QUICK) as world:
        await opens(world)
        began = trio.current_time()
        answers: list[str] = []
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask_on, world, answers, began + 4 * QUICK.cooldown)
        cooldowns = (trio.current_time() - began) / QUICK.cooldown
        probes = world.simulator.statistics.requests - 3
        assert 1 <= probes <= cooldowns
        assert answers.count("provider_unavailable") == probes
        assert set(answers) == {"provider_unavailable", "breaker_open"}


async def ask_on(world: World, answers: list[str], until: float) -> None:
    while trio.current_time() < until:
        answers.append(outcome_of(await world.ask("sim-503")))


async def test_an_operators_order_holds_at_once_and_is_told_as_an_event() -> None:
    async with open_world(breaker=LASTING) as world:
        controlled = ControlledWorker(world.worker, lambda: None)
        events: list[tuple[str, str, str]] = []
        end = controlled.listen(lambda each: events.append((each.kind, each.path, each.detail)))
        (told,) = await controlled.breaker(NAME, "open")
        assert (told.state, told.held) == ("open", True)
        assert outcome_of(await world.ask("sim-ok")) == "breaker_open"
        assert told in standings(world.worker)
        await controlled.breaker(NAME, "reset")
        assert outcome_of(await world.ask("sim-ok")) == "whole"
        end()
        await controlled.breaker(NAME, "open")
        await controlled.breaker(NAME, "close")
        path = "breakers/simulator"
        assert events == [
            ("breaker_opened", path, "simulator, until it is closed or reset: an operator"),
            ("breaker_closed", path, "simulator: an operator"),
        ]


async def test_where_they_are_switched_off_no_order_pretends_to_hold() -> None:
    async with open_world(breaker=replace(LASTING, enabled=False)) as world:
        controlled = ControlledWorker(world.worker, lambda: None)
        with pytest.raises(Refused, match="switched off") as refused:
            await controlled.breaker(NAME, "open")
        assert refused.value.code == "not_possible"
        (told,) = await controlled.breaker(NAME, None)
        assert told.state == "closed"
        for _ in range(4):
            assert outcome_of(await world.ask("sim-503")) == "provider_unavailable"
        assert outcome_of(await world.ask("sim-ok")) == "whole"
        assert await health(world) == ("healthy", "ok")


async def test_a_restart_of_its_actor_neither_closes_it_nor_lets_anybody_through() -> None:
    async with open_world(breaker=LASTING) as world:
        await opens(world)
        for path in ("breakers/simulator", "breakers", "connections", "streams"):
            await world.worker.system.restart(path)
            assert outcome_of(await world.ask("sim-ok")) == "breaker_open"
        assert world.simulator.statistics.requests == 3
