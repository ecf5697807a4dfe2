"""``sluice serve --workers 2``: a host and its workers, as clients and operators see them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from tests.http.edge_world import Answer, RawClient
from tests.real.serving import (
    Operated,
    Start,
    Streams,
    cut,
    eventually,
    workers_of,
)
from tests.service.operators_world import (
    HELD,
    SHORT,
    failed,
    is_refused,
    is_whole,
    request,
    text_of,
    until,
)

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

WORKERS = {
    "SLUICE_SERVER__WORKERS": "2",
    "SLUICE_CONNECTIONS__LIMIT": "10",
    # However slow the machine: a held stream goes on, and its client hears of it.
    "SLUICE_TIMEOUTS__HEARTBEAT": "2",
    "SLUICE_TIMEOUTS__IDLE": "600",
}


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORKERS.items():
        monkeypatch.setenv(name, value)


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
    assert [line for line in service.lines() if line["level"] in {"warning", "error"}] == []


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


async def test_a_rolling_restart_loses_no_stream_no_request_and_no_connection(
    start: Start, simulator: Simulator, nursery: trio.Nursery
) -> None:
    operated = await start()
    service, held, answers = operated.service, dict[str, Answer](), dict[str, Answer]()
    before = workers_of(await operated.done("tree", "--json"))
    for number in range(6):
        nursery.start_soon(service.ask, held, HELD, f"held {number}")
    await simulator.wait(lambda now: now.held == 6)
    done = trio.Event()

    async def ask_on() -> None:
        while not done.is_set():
            await service.ask(answers, SHORT, f"while {len(answers)}")

    async with trio.open_nursery() as asking:
        asking.start_soon(ask_on)
        told = await operated.done("restart", "workers")
        done.set()
    after = workers_of(await operated.done("tree", "--json"))
    assert not set(after) & set(before)
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        assert f"worker-{number}: process {new} serves; {old} drains" in told
    assert answers
    assert all(is_whole(answers[each], text_of(SHORT, each, 4)) for each in answers)
    assert not held
    simulator.release()
    await until(lambda: len(held) == 6)
    assert all(is_whole(held[each], text_of(HELD, each, 20)) for each in held)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))
    assert b"\nsluice_streams_lost_total 0.0\n" in (await service.get("/metrics")).body


async def test_an_idle_connection_of_a_replaced_worker_has_one_more_request(start: Start) -> None:
    operated = await start()
    async with await trio.open_tcp_stream("127.0.0.1", operated.service.port) as stream:
        client = RawClient(stream)
        first = await client.request(request(SHORT, "before", keep=True))
        assert "connection" not in first.headers
        for name in ("worker-1", "worker-2"):
            assert "restarted" in await operated.done("restart", f"workers/{name}")
        last = await client.request(request(SHORT, "after", keep=True))
        assert is_whole(last, text_of(SHORT, "after", 4))
        assert last.headers["connection"] == "close"
        assert await client.closed()


async def spread_of(operated: Operated) -> list[int]:
    """How many connections each worker has open to clients of ours."""
    port = operated.service.port
    pids = workers_of(await operated.done("tree", "--json"))
    return [_accepted(pid, port) for pid in pids]


def _accepted(pid: int, port: int) -> int:
    """Established connections at ``port`` that the process ``pid`` has a descriptor of."""
    established, found = "01", 0
    inodes = {
        fields[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[1].endswith(f":{port:04X}") and fields[3] == established
    }
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was the one that lists the folder
            found += descriptor.readlink().name.removeprefix("socket:").strip("[]") in inodes
    return found


async def test_of_64_streams_no_worker_has_more_than_60_percent(
    start: Start, simulator: Simulator, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_CONNECTIONS__LIMIT", "64")
    operated = await start()
    held: dict[str, Answer] = {}
    for number in range(64):
        nursery.start_soon(operated.service.ask, held, HELD, f"held {number}")
    await simulator.wait(lambda now: now.held == 64)
    counts = await spread_of(operated)
    assert sum(counts) == 64
    assert max(counts) <= 0.6 * 64
    simulator.release()
    await until(lambda: len(held) == 64)
    assert all(is_whole(held[each], text_of(HELD, each, 20)) for each in held)


async def test_connections_are_accepted_while_one_worker_is_stopped_in_its_tracks(
    start: Start,
) -> None:
    operated = await start()
    service, answers = operated.service, dict[str, Answer]()
    (stopped, _) = workers_of(await operated.done("tree", "--json"))
    os.kill(stopped, signal.SIGSTOP)
    try:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(service.ask, answers, SHORT, f"while {number}")
        assert all(is_whole(answers[each], text_of(SHORT, each, 4)) for each in answers)
        assert len(answers) == 10
    finally:
        with suppress(ProcessLookupError):  # its host may have replaced it by now
            os.kill(stopped, signal.SIGCONT)


async def test_a_signal_drains_all_workers_and_tells_those_streams_that_do_not_end(
    start: Start, simulator: Simulator, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_SERVER__DRAIN", "2")
    service = (await start()).service
    streams = Streams(service, simulator, nursery, held=6)
    await streams.under_way()
    service.process.send_signal(signal.SIGTERM)
    await service.told("draining")

    async def all_unready() -> bool:
        return {(await service.get("/health/ready")).status for _ in range(8)} == {503}

    await eventually(all_unready)
    assert is_refused(await service.send(request(SHORT, "late")), 503, "not_accepting")
    simulator.release()
    await streams.answered()
    assert all(is_whole(each, text_of(HELD, said, 20)) for said, each in streams.held.items())
    assert all(failed(answer, "stopping") for answer in streams.stalled.values())
    assert await service.ends() == 0
    assert await service.refuses_connections()


async def test_a_second_signal_ends_all_workers_at_once_and_honestly(
    start: Start, simulator: Simulator, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_SERVER__DRAIN", "36000")
    operated = await start()
    service = operated.service
    streams = Streams(service, simulator, nursery, held=6)
    await streams.under_way()
    await operated.done("restart", "workers/worker-1")  # the old one drains beside the new one
    service.process.terminate()
    await service.told("draining")
    service.process.terminate()
    assert await service.ends() == 1
    await streams.answered()
    for answer in [*streams.held.values(), *streams.stalled.values()]:
        assert is_refused(answer, 503, "stopping") or failed(answer, "stopping")
    await simulator.wait(lambda now: now.open == 0)


async def test_workers_end_with_a_host_that_is_killed(start: Start) -> None:
    operated = await start()
    pids = workers_of(await operated.done("tree", "--json"))
    operated.service.process.kill()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


async def test_workers_that_were_all_stopped_are_all_started_by_a_restart(start: Start) -> None:
    operated = await start()
    for path in ("workers", "workers/worker-1"):
        await operated.done("stop", "workers")
        assert is_refused(await operated.service.send(request(SHORT, path)), 503, "not_accepting")
        assert (await operated.service.get("/health/ready")).status == 503
        assert (await operated.service.get("/health/live")).status == 200
        assert ": stopped, " in await operated.done("status")
        assert "restarted" in await operated.done("restart", path)
        answer = await operated.service.send(request(SHORT, path))
        assert is_whole(answer, text_of(SHORT, path, 4))
