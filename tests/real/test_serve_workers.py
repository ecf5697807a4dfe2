"""``sluice serve --workers 2``: a host and its workers, as clients and operators see them."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer, RawClient
from tests.real.test_control_commands import Start, simulator, start
from tests.real.test_serve_process import Service
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    SHORT,
    is_refused,
    is_whole,
    request,
    text_of,
    until,
)

from sluice.ops.simulator import Simulator

__all__ = ["simulator", "start"]  # the fixtures

pytestmark = pytest.mark.real

WORKERS = {"SLUICE_SERVER__WORKERS": "2", "SLUICE_CONNECTIONS__LIMIT": "10"}


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORKERS.items():
        monkeypatch.setenv(name, value)


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as ``is_so`` says so."""
    with trio.fail_after(PATIENCE):
        while True:
            if await is_so():
                return
            await trio.sleep(0.05)


def workers_of(tree: str) -> list[int]:
    """The process ids in what ``sluice tree --json`` says."""
    root = msgspec.json.decode(tree)
    (workers,) = [child for child in root["children"] if child["path"] == "workers"]
    return [child["statistics"]["pid"] for child in workers["children"]]


async def test_two_workers_hold_one_limit_and_their_numbers_are_one(
    start: Start, simulator: Simulator
) -> None:
    operated = await start()
    service, answers = operated.service, dict[str, Answer]()
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(service.ask, answers, HELD, f"held {number}")
        await simulator.wait(lambda now: now.held == 10)
        for number in range(5):
            refused = await service.send(request(SHORT, f"too many {number}"))
            assert is_refused(refused, 429, "no_capacity")
        exposition = (await service.get("/metrics")).body.decode()
        assert "\nsse_active_connections 10.0\n" in exposition
        simulator.release()
    assert all(is_whole(answers[each], text_of(HELD, each, 20)) for each in answers)

    async def all_counted() -> bool:
        return b'status="success"} 10.0\n' in (await service.get("/metrics")).body

    await eventually(all_counted)
    service.process.send_signal(signal.SIGTERM)
    assert await service.ends() == 0


async def test_a_worker_that_is_killed_is_replaced_and_strands_no_slot(
    start: Start, simulator: Simulator
) -> None:
    operated = await start()
    service, answers = operated.service, dict[str, Answer]()
    before = workers_of(await operated.done("tree", "--json"))
    assert len(set(before)) == 2
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(cut, service, f"held {number}")
        await simulator.wait(lambda now: now.held == 10)
        for pid in before:
            os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        return not set(workers_of(await operated.done("tree", "--json"))) & {*before, None}

    await eventually(replaced)
    simulator.release()
    await simulator.wait(lambda now: now.open == 0)
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(service.ask, answers, SHORT, f"after {number}")
    assert all(is_whole(answers[each], text_of(SHORT, each, 4)) for each in answers)
    assert len(answers) == 10


async def cut(service: Service, prompt: str) -> None:
    """Ask; the connection ends in the middle of the answer."""
    async with await trio.open_tcp_stream("127.0.0.1", service.port) as stream:
        client = RawClient(stream)
        await client.send(request(HELD, prompt))
        assert b"[DONE]" not in await client.rest()


async def test_a_worker_is_restarted_beside_itself_and_no_request_is_lost(start: Start) -> None:
    operated = await start()
    service, answers = operated.service, dict[str, Answer]()
    before = workers_of(await operated.done("tree", "--json"))
    done = trio.Event()

    async def ask_on() -> None:
        while not done.is_set():
            await service.ask(answers, SHORT, f"while {len(answers)}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_on)
        for name in ("worker-1", "worker-2"):
            assert "restarted" in await operated.done("restart", f"workers/{name}")
        done.set()
    assert not set(workers_of(await operated.done("tree", "--json"))) & set(before)
    assert answers
    assert all(is_whole(answers[each], text_of(SHORT, each, 4)) for each in answers)


async def test_workers_end_with_a_host_that_is_killed(start: Start) -> None:
    operated = await start()
    pids = workers_of(await operated.done("tree", "--json"))
    operated.service.process.kill()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
