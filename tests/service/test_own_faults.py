"""Mistakes of our own: one ends one stream at most, is told as ours, and is logged."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from tests.http.edge_world import RawClient
from tests.service.operators_world import until
from tests.service.telling import outcome_of
from tests.service.world import World, open_world

from sluice.actors.providers.provider import ProviderClient
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.pump import EpollPoller

HELD = "sim-ok?chunks=20&hold=8"


async def hold(world: World, count: int) -> list[RawClient]:
    clients = [await world.begin(HELD, f"held {number}") for number in range(count)]
    await world.simulator.wait(lambda now: now.held == count)
    await until(lambda: sum(each.head_sent for each in world.live) == count)
    return clients


class BrokenPoller(EpollPoller):
    """A set of descriptors that cannot be waited for, ``left`` times more."""

    left = 0

    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()
        if BrokenPoller.left:
            BrokenPoller.left -= 1
            raise OSError("as if")
        await super().wait()


@pytest.mark.parametrize(("faults", "alive"), [(0, True), (3, True), (4, False)])
async def test_all_streams_go_on_when_the_pump_fails_once_or_for_good(
    faults: int, *, alive: bool
) -> None:
    async with open_world() as world:
        world.faults_are_expected = True
        clients = await hold(world, 20)
        pump = world.worker.pump
        BrokenPoller.left = faults
        pump._make_poller = BrokenPoller
        pump._recover(OSError("as if"))  # closes the set that it waits for: its own first fault
        await until(lambda: BrokenPoller.left == 0 and pump.alive == alive)
        world.simulator.release()
        for client in clients:
            assert outcome_of(await world.read(client)) == "whole"
        assert outcome_of(await world.ask("sim-ok?chunks=50&write_each=1")) == "whole"
        assert pump.statistics().faults == faults + 2


async def test_a_mistake_in_one_streams_bytes_ends_that_stream_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_world() as world:
        world.faults_are_expected = True
        clients = await hold(world, 3)
        unlucky = world.live[1]
        translate = Flow.translate

        def once(flow: Flow, data: bytes, now: float) -> bytes:
            if flow is unlucky.flow:
                raise RuntimeError("as if")
            return translate(flow, data, now)

        monkeypatch.setattr(Flow, "translate", once)
        world.simulator.release()
        answers = [await world.read(client) for client in clients]
        ends = {each.headers["x-stream-id"]: outcome_of(each) for each in answers}
        assert ends.pop(unlucky.id) == "internal_error"
        assert list(ends.values()) == ["whole", "whole"]
        assert len(world.errors()) == 1


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_mistake_in_a_call_is_a_500_that_tells_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    def mistake(*_: Any, **__: Any) -> Any:
        raise RuntimeError("as if")

    async with open_world() as world:
        world.faults_are_expected = True
        with monkeypatch.context() as patch:
            patch.setattr(ProviderClient, "call", mistake)
            answer = await world.ask("sim-ok", stream=stream)
        assert (answer.status, outcome_of(answer)) == (500, "internal_error")
        assert b"as if" not in answer.body
        assert len(world.errors()) == 1
        assert outcome_of(await world.ask("sim-ok", stream=stream)) == "whole"
