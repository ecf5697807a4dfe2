"""Circuit breakers over two workers: one state, one probe, and none that dies with its holder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.serving import Operated, Start, change, cut, eventually
from tests.service.operators_world import PATIENCE, SHORT, request, until
from tests.service.telling import outcome_of

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

COOLDOWN = 1.0
FIGURES = "\n[breaker]\nfailures = 3\ncooldown = 1\n"
DOWN = "sim-503"


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_SERVER__WORKERS", "2")
    monkeypatch.setenv("SLUICE_RETRIES__ATTEMPTS", "0")


class Watched:
    """A service of two workers, its breaker, and what reaches its provider."""

    def __init__(self, operated: Operated, simulator: Simulator) -> None:
        self.operated = operated
        self.service = operated.service
        self.simulator = simulator

    async def ask(self, model: str) -> str:
        return outcome_of(await self.service.send(request(model, "hello")))

    async def state(self) -> int:
        """As the exposition has it."""
        exposition: Answer = await self.service.get("/metrics")
        head = b'\nsse_circuit_breaker_state{provider="simulator"} '
        return int(exposition.body.partition(head)[2].partition(b".")[0])

    async def becomes(self, state: int) -> None:
        async def is_so() -> bool:
            return await self.state() == state

        await eventually(is_so)

    async def opens(self) -> None:
        before = self.reached
        for _ in range(3):
            assert await self.ask(DOWN) == "provider_unavailable"
        await self.becomes(2)
        assert self.reached == before + 3

    @property
    def reached(self) -> int:
        """Requests that came to the provider."""
        return self.simulator.statistics.requests

    async def status(self) -> Any:
        return msgspec.json.decode(await self.operated.done("status", "--json"))

    async def holder(self) -> int:
        """The process id of the worker with the only stream; it tells of it some times a second."""
        with trio.fail_after(PATIENCE):
            while True:
                processes = (await self.status())["processes"]
                pids: list[int] = [each["pid"] for each in processes if each["streams"]]
                if pids:
                    return pids[0]

    async def nothing_is_left(self) -> None:
        """No slot is taken, no permit is held, and no probe is under way."""

        async def is_so() -> bool:
            tree = msgspec.json.decode(await self.operated.done("tree", "--json"))
            found = [each["statistics"] for each in nodes(tree) if each["id"] == "streams"]
            held = [(each["permits"], each["live"]) for each in found]
            return held == [(0, 0)] * 2  # one that was killed has been replaced

        async def no_slot_is_taken() -> bool:  # which is told some times a second
            taken: int = (await self.status())["connections"]
            return taken == 0

        await eventually(is_so)
        await eventually(no_slot_is_taken)


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node["children"]:
        yield from nodes(child)


@pytest.fixture
async def watched(start: Start, simulator: Simulator) -> Watched:
    operated = await start()
    change(operated, more=FIGURES)
    taken = await operated.service.told("configuration taken")
    assert taken["live"] == ["breaker.failures", "breaker.cooldown"]
    assert taken["workers"] == []
    return Watched(operated, simulator)


def refusers(watched: Watched) -> set[str]:
    """The workers that have refused somebody."""
    lines = watched.service.lines()
    return {line["process"] for line in lines if line.get("end") == "breaker_open"}


async def test_two_workers_open_as_one_let_one_probe_through_and_close_as_one(
    watched: Watched,
) -> None:
    began = trio.current_time()
    await watched.opens()
    outcomes: list[str] = []

    async def ask_on() -> None:
        while watched.reached < 3 + 3 or len(refusers(watched)) < 2:
            outcomes.append(await watched.ask(DOWN))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(ask_on)
    probes = watched.reached - 3
    assert 3 <= probes <= (trio.current_time() - began) / COOLDOWN
    assert outcomes.count("provider_unavailable") == probes
    assert set(outcomes) == {"provider_unavailable", "breaker_open"}
    exposition = (await watched.service.get("/metrics")).body.decode()
    assert f'_failures_total{{provider="simulator"}} {watched.reached}.0\n' in exposition

    async def is_whole_again() -> bool:
        return await watched.ask(SHORT) == "whole"

    await eventually(is_whole_again)
    await watched.becomes(0)
    assert {await watched.ask(SHORT) for _ in range(8)} == {"whole"}
    await an_operator_decides(watched)
    await watched.nothing_is_left()
    watched.service.process.send_signal(signal.SIGTERM)
    assert await watched.service.ends() == 0


async def an_operator_decides(watched: Watched) -> None:
    """What an operator opens is open in all workers until it is closed."""
    sluice = watched.operated
    said = "simulator: open, until it is closed or reset\n"
    assert await sluice.done("breaker", "simulator", "open") == said
    assert {await watched.ask(SHORT) for _ in range(8)} == {"breaker_open"}
    health = msgspec.json.decode((await watched.service.get("/health")).body)
    assert (health["status"], health["checks"]["providers"]["simulator"]) == ("unhealthy", "down")
    (closed,) = msgspec.json.decode(await sluice.done("breaker", "simulator", "close", "--json"))
    assert (closed["name"], closed["state"], closed["held"]) == ("simulator", "closed", False)
    assert {await watched.ask(SHORT) for _ in range(8)} == {"whole"}
    ended = await sluice.sluice("breaker", "simulatr", "open")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"no circuit breaker 'simulatr'; did you mean simulator?" in ended.stderr


async def test_a_worker_that_is_killed_with_the_probe_wedges_nothing(
    watched: Watched, nursery: trio.Nursery
) -> None:
    await watched.opens()
    await watched.becomes(1)
    change(watched.operated, ("cooldown = 1", "cooldown = 600"))
    await watched.service.told("configuration taken", 2)
    nursery.start_soon(cut_off, watched)
    await watched.simulator.wait(lambda now: now.requests == 4)
    assert await watched.ask(SHORT) == "breaker_open"
    os.kill(await watched.holder(), signal.SIGKILL)

    async def is_whole() -> bool:
        with suppress(OSError, AssertionError):  # the one that was killed had accepted it
            return await watched.ask(SHORT) == "whole"
        return False

    await eventually(is_whole)
    await watched.becomes(0)
    told_of = ["circuit breaker open", "circuit breaker half open", "circuit breaker closed"]
    await until(lambda: transitions(watched) == told_of)
    await watched.nothing_is_left()


def transitions(watched: Watched) -> list[str]:
    """The log's lines about the breaker."""
    lines = (line["event"] for line in watched.service.lines())
    return [event for event in lines if "circuit breaker" in event]


async def cut_off(watched: Watched) -> None:
    """Be the probe, of a provider that never answers."""
    await cut(watched.service, "probe", "sim-silent")
