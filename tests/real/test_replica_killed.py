"""Workers of one replica are killed under load: what is lost is theirs, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.serving import Operated, Service, Start
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    SHORT,
    Samples,
    events,
    is_refused,
    is_whole,
    never_back,
    request,
    samples_of,
    text_of,
    total,
)

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

UNHURRIED = {
    "SLUICE_TIMEOUTS__IDLE": "600",
    "SLUICE_TIMEOUTS__FIRST_CHUNK": "600",
    "SLUICE_RETRIES__ATTEMPTS": "0",
}
"""Streams are held for as long as the machine takes for the rest; who fails does so at once."""


class Replica:
    """A host, its workers, and the clients of them all."""

    def __init__(self, operated: Operated, simulator: Simulator, limit: int) -> None:
        self.operated = operated
        self.service: Service = operated.service
        self.simulator = simulator
        self.limit = limit
        self.answers: dict[str, Answer] = {}
        self.asked = 0

    # What it is.

    def workers(self) -> list[int]:
        """The ids of the processes that serve, or will."""
        threads = Path(f"/proc/{self.service.process.pid}/task").glob("*/children")
        pids = [int(pid) for each in threads for pid in each.read_text().split()]
        return [pid for pid in pids if _is_worker(pid)]

    async def samples(self) -> Samples:
        """What some worker tells of the whole replica."""
        answer = await self.service.get("/metrics")
        assert answer.status == 200, answer
        return samples_of(answer)

    async def active(self) -> float:
        return total(await self.samples(), "sse_active_connections")

    async def health(self) -> dict[str, float]:
        """The figures of ``/health``."""
        found: dict[str, float] = msgspec.json.decode((await self.service.get("/health")).body)[
            "metrics"
        ]
        return found

    # What is done with it.

    async def ask(self, model: str, prompt: str) -> None:
        try:
            answer = await self.service.send(request(model, prompt))
        except EOFError:
            answer = Answer(0, {}, b"", complete=False)  # it was cut before it began
        answer.body = answer.body.replace(b": hb\n", b"")  # what is held for long has heartbeats
        self.answers[prompt] = answer

    async def fill(self, nursery: trio.Nursery) -> None:
        """Have a stream in each slot that is free."""
        for _ in range(self.limit - int(await self.active())):
            self.asked += 1
            nursery.start_soon(self.ask, HELD, f"held {self.asked}")
        with trio.fail_after(PATIENCE):
            await self.simulator.wait(lambda now: now.held == self.limit)

    async def is_full(self) -> bool:
        """Whether it holds as many streams as it may, and takes no other."""
        refused = await self.service.send(request(SHORT, "one too many"))
        return is_refused(refused, 429, "no_capacity") and await self.active() == self.limit

    async def kill(self, pid: int) -> int:
        """Kill a worker; how many streams it took with it, when all have noticed."""
        streams, ended = self.simulator.statistics.open, len(self.answers)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: self._has_noticed(pid))

        async def agree() -> bool:
            left = streams - (len(self.answers) - ended)
            return self.simulator.statistics.open == left == await self.active()

        await eventually(agree)
        return len(self.answers) - ended

    async def _has_noticed(self, pid: int) -> bool:
        """Whether the host knows that the process ``pid`` has ended."""
        exits = [line for line in self.service.lines() if line["event"] == "actor process_exited"]
        return any(line["detail"].startswith(f"pid {pid} ") for line in exits)

    def outcomes(self) -> tuple[int, int]:
        """How many answers were whole, and how many cut; there are no others."""
        whole = sum(is_whole(each, text_of(HELD, name, 20)) for name, each in self.answers.items())
        cut = sum(map(is_cut, self.answers.values()))
        assert whole + cut == len(self.answers)
        return whole, cut


def _is_worker(pid: int) -> bool:
    try:
        return b"sluice.ops.member" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_cut(answer: Answer) -> bool:
    """Whether a client can see that this is not all, and no end marker says otherwise."""
    return not answer.complete and not any(each.data == "[DONE]" for each in events(answer.body))


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as ``is_so``. A worker that is killed may take the question with it."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                if await is_so():
                    return
            except (OSError, EOFError):
                pass
            await trio.sleep(0.02)


@asynccontextmanager
async def replica(
    start: Start, simulator: Simulator, patch: pytest.MonkeyPatch, workers: int, limit: int
) -> AsyncIterator[Replica]:
    patch.setenv("SLUICE_SERVER__WORKERS", str(workers))
    patch.setenv("SLUICE_CONNECTIONS__LIMIT", str(limit))
    for name, value in UNHURRIED.items():
        patch.setenv(name, value)
    operated = await start()
    yield Replica(operated, simulator, limit)


async def test_a_killed_worker_takes_its_streams_with_it_and_no_other_and_no_count(
    start: Start,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    async with replica(start, simulator, monkeypatch, 2, 200) as at, trio.open_nursery() as nursery:
        history = [await at.samples()]

        async def scrape() -> bool:
            history.append(await at.samples())
            return True

        await at.fill(nursery)
        before = at.workers()
        began = time.monotonic()
        lost = await at.kill(before[0])

        async def is_replaced() -> bool:
            await scrape()
            now = set(at.workers()) - {before[0]}
            lines = [line for line in at.service.lines() if line["event"] == "actor started"]
            ready = [line for line in lines if line["actor"].startswith("workers/")]
            return len(now) == 2 and len(ready) == 3

        await eventually(is_replaced)
        record_property("seconds until it was replaced", time.monotonic() - began)
        assert (await at.active(), len(at.answers)) == (200 - lost, lost)
        await at.operated.done("restart", "metrics")
        await eventually(scrape)
        simulator.release()
        await eventually(lambda: _answered(at, 200))
        assert at.outcomes() == (200 - lost, lost)
        assert 0 < lost < 200
        os.kill(before[1], signal.SIGKILL)  # now it is the replacement that serves
        await eventually(lambda: _serves(at))
        await eventually(scrape)
        assert all(never_back(one, other) for one, other in pairwise(history))
        counted = total(history[-1], "sse_requests_total", status="success")
        assert counted == 200 - lost + 1
        assert total(history[-1], "sluice_streams_lost_total") == lost


async def _answered(at: Replica, answers: int) -> bool:
    return len(at.answers) == answers and await at.active() == 0


async def _serves(at: Replica) -> bool:
    answer = await at.service.send(request(SHORT, "after"))
    return is_whole(answer, text_of(SHORT, "after", 4))


@pytest.mark.parametrize("workers", [2, 3])
async def test_the_slots_are_the_limit_exactly_also_while_workers_are_killed(
    start: Start, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    async with replica(start, simulator, monkeypatch, workers, 100) as at:
        async with trio.open_nursery() as nursery:
            await at.fill(nursery)
            assert await at.is_full()
            for pid in at.workers()[1:]:
                await at.kill(pid)
                await at.fill(nursery)
                assert await at.is_full()
            simulator.release()
        whole, _ = at.outcomes()
        assert whole == 100
        await eventually(lambda: _answered(at, at.asked))


async def test_health_tells_the_figures_of_the_replica_whichever_worker_is_asked(
    start: Start, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(start, simulator, monkeypatch, 2, 9) as at, trio.open_nursery() as nursery:
        for number in range(10):
            for model in (SHORT, SHORT, "sim-503"):
                await at.ask(model, f"{model} {number}")
        await at.fill(nursery)
        for _ in range(8):
            figures = await at.health()
            assert figures["active_connections"] == 9
            assert figures["error_rate_percent"] == 33.33
            assert figures["requests_per_second"] > 0
        await at.kill(at.workers()[0])
        assert (await at.health())["error_rate_percent"] == 33.33
        simulator.release()
