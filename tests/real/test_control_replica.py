"""The operators' commands and a real host with two workers: one tree, one status, all events."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.in_thread import LONG, Commands
from tests.real.serving import Start
from tests.real.test_control_live import Listener, listen
from tests.service.operators_world import HELD, is_whole, text_of, until

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

WORKERS = {"worker-1", "worker-2"}


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLUICE_SERVER__WORKERS": "2", **LONG}.items():
        monkeypatch.setenv(name, value)


def all_of(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every node of a tree, by its path."""
    found = {node["path"]: node}
    for child in node["children"]:
        found |= all_of(child)
    return found


async def test_operators_see_and_command_the_actors_of_all_workers_under_streams(
    start: Start, simulator: Simulator, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = await start()
    sluice = Commands(operated.config, capsys)
    answers: dict[str, Answer] = {}
    for number in range(10):
        nursery.start_soon(operated.service.ask, answers, HELD, f"held {number}")
    await simulator.wait(lambda now: now.held == 10)
    heard = await listen(operated, nursery, "metrics@worker-2")
    await the_tree_and_the_status_show_all_processes(sluice)
    await an_actor_of_a_worker_obeys(sluice, heard)
    await what_cannot_be_done_is_refused_in_words(sluice)
    await what_holds_connections_is_restarted_by_replacing_its_worker(sluice, heard)
    simulator.release()
    await until(lambda: len(answers) == 10)
    assert all(is_whole(answers[each], text_of(HELD, each, 20)) for each in answers)
    assert (await sluice.json("status"))["connections"] == 0


async def the_tree_and_the_status_show_all_processes(sluice: Commands) -> None:
    nodes = all_of(await sluice.json("tree"))
    for name in WORKERS:
        worker, streams = nodes[f"workers/{name}"], nodes[f"streams@{name}"]
        assert worker["process"] == streams["process"] == name
        assert worker["pid"] == streams["pid"] != nodes["metrics"]["pid"]
        assert {f"{each}@{name}" for each in ("edge", "metrics", "providers/simulator")} <= {*nodes}
        assert streams["state"] == "running"
        assert streams["uptime"] > 0
    assert sum(live(nodes, name) for name in WORKERS) == 10
    status = await sluice.json("status")
    processes = {each["name"]: each for each in status["processes"]}
    assert {*processes} == {"host", *WORKERS}
    assert sum(each["streams"] for each in processes.values()) == status["streams"] == 10
    assert all(each["memory"] > 0 and each["state"] == "serving" for each in processes.values())


async def an_actor_of_a_worker_obeys(sluice: Commands, heard: Listener) -> None:
    done = await sluice.json("pause", "providers/simulator@worker-1")
    assert (done["action"], done["path"]) == ("paused", "providers/simulator@worker-1")
    assert "paused" in await sluice.done("tree")
    assert "resumed" in await sluice.done("resume", "workers/worker-1/providers/simulator")
    assert "incarnation 2" in await sluice.done("restart", "shares@worker-1")
    assert "incarnation 2" in await sluice.done("restart", "control@worker-1")
    assert "stopped" in await sluice.done("stop", "lease@worker-2")
    assert "stopped already" in await sluice.refused("stop", "lease@worker-2")
    assert "was stopped" in await sluice.done("restart", "lease@worker-2")
    for event in (
        "paused       providers/simulator@worker-1 #1",
        "started      shares@worker-1 #2",
        "stopped      lease@worker-2 #1",
    ):
        await heard.tells(event)


async def what_cannot_be_done_is_refused_in_words(sluice: Commands) -> None:
    for words, why in (
        ("restart streams", "did you mean streams@worker-1 or streams@worker-2?"),
        ("restart metrcs@worker-1", "did you mean metrics@worker-1"),
        ("stop metrics@worker-7", "host, worker-1, worker-2"),
        ("pause providers@worker-1", "cannot pause a supervisor"),
        ("pause workers/worker-1", "is a process"),
        ("resume metrics@worker-1", "only a paused actor"),
        ("restart host", "`sluice restart workers` replaces all its workers"),
        ("stop control@worker-1", "operators reach worker-1 through it"),
        ("stop edge@worker-1", "clients would connect, and wait for nobody"),
    ):
        assert why in await sluice.refused(*words.split())


async def what_holds_connections_is_restarted_by_replacing_its_worker(
    sluice: Commands, heard: Listener
) -> None:
    before = all_of(await sluice.json("tree"))
    assert "debug (it was info)" in await sluice.done("log-level", "debug")
    replaced = await sluice.json("restart", "streams@worker-1")
    assert replaced["path"] == "streams@worker-1"
    assert "worker-1 was replaced" in replaced["detail"]
    status = await sluice.json("status")
    old = [each for each in status["processes"] if "#" in each["name"]]
    assert [(each["pid"], each["state"], each["streams"]) for each in old] == [
        (before["streams@worker-1"]["pid"], "draining", live(before, "worker-1"))
    ]
    after = all_of(await sluice.json("tree"))["workers/worker-1"]
    assert (after["pid"], after["generation"]) == (status["processes"][1]["pid"], 2)
    assert (after["incarnation"], replaced["incarnation"], replaced["generation"]) == (1, 1, 2)
    await heard.tells("started      edge@worker-1 #1")


def live(nodes: dict[str, dict[str, Any]], worker: str) -> int:
    """Streams that are under way in ``worker``."""
    count: int = nodes[f"streams@{worker}"]["statistics"]["live"]
    return count


async def test_the_logs_level_is_that_of_all_processes_and_of_those_that_come(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = await start()
    sluice = Commands(operated.config, capsys)
    service = operated.service
    assert "debug (it was info)" in await sluice.done("log-level", "debug")
    for name in WORKERS:
        await sluice.done("restart", f"workers/{name}")
    for probe in range(10):
        await service.get("/health")
        await until(lambda: probes_in(service.lines()) > probe)  # noqa: B023 -- awaited at once


def probes_in(lines: list[dict[str, Any]]) -> int:
    """Lines of small requests: there are some only at level debug."""
    return sum(line["event"] == "request" and line["level"] == "debug" for line in lines)


async def test_a_worker_that_is_held_up_holds_up_no_answer_and_is_shown(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = await start()
    sluice = Commands(operated.config, capsys)
    pid = all_of(await sluice.json("tree"))["workers/worker-2"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        nodes = all_of(await sluice.json("tree"))
        assert "does not answer" in nodes["workers/worker-2"]["note"]
        assert "streams@worker-1" in nodes
        assert "streams@worker-2" not in nodes
        states = {one["name"]: one["state"] for one in (await sluice.json("status"))["processes"]}
        assert states == {"host": "serving", "worker-1": "serving", "worker-2": "not answering"}
        assert "does not answer" in await sluice.refused("restart", "metrics@worker-2")
        assert "worker-2 did not answer" in await sluice.done("log-level", "warning")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "incarnation 2" in await sluice.eventually("restart", "metrics@worker-2")
