"""The operators' commands against a real ``sluice serve``."""

from __future__ import annotations

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.serving import Start
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    is_whole,
    text_of,
    until,
)

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real


async def test_each_command_says_what_it_did_or_why_not(start: Start) -> None:
    operated = await start()
    assert "serving" in await operated.done("status")
    assert msgspec.json.decode(await operated.done("status", "--json"))["state"] == "serving"
    assert "providers" in await operated.done("tree")
    assert "incarnation 2" in await operated.done("restart", "metrics")
    assert "paused" in await operated.done("pause", "metrics")
    assert "paused" in await operated.done("tree")
    assert "resumed" in await operated.done("resume", "metrics")
    assert "stopped" in await operated.done("stop", "providers/simulator")
    assert "running" in await operated.done("restart", "providers/simulator")
    assert "debug (it was info)" in await operated.done("log-level", "debug")
    assert "level is debug" in await operated.done("log-level")
    top = await operated.done("top", "--once", "--interval", "0.1")
    assert "simulator" in top
    assert "connections 0 of 100" in top
    assert "stopped" in await operated.done("stop", "streams")
    assert ": stopped, " in await operated.done("status")
    assert (await operated.service.get("/health/ready")).status == 503
    assert "running" in await operated.done("restart", "streams")
    assert (await operated.service.get("/health/ready")).status == 200
    for action, path in (("stop", "edge"), ("stop", "root"), ("restart", "root")):
        refused = await operated.sluice(action, path)
        assert (refused.returncode, b"`sluice drain`" in refused.stderr) == (1, True)
    unknown = await operated.sluice("restart", "nobody")
    assert unknown.returncode == 1
    assert b"there is nothing at 'nobody'; there are: " in unknown.stderr
    refused = await operated.sluice("pause", "providers")
    assert refused.returncode == 1
    assert b"cannot pause a supervisor" in refused.stderr
    assert (await operated.sluice("log-level", "loud")).returncode == 2
    operated.service.process.kill()
    await operated.service.ends()
    nowhere = await operated.sluice("status", "--control", "127.0.0.1:1")
    assert nowhere.returncode == 3
    assert b"Connection refused" in nowhere.stderr
    gone = await operated.sluice("status")
    assert gone.returncode == 3
    assert b"no service answers" in gone.stderr


async def test_what_is_killed_leaves_a_socket_that_the_next_one_replaces(start: Start) -> None:
    operated = await start()
    operated.service.process.kill()
    await operated.service.ends()
    again = await start()
    assert "serving" in await again.done("status")


async def test_restarts_through_the_control_lose_none_of_100_streams(
    start: Start, simulator: Simulator, nursery: trio.Nursery
) -> None:
    operated = await start()
    answers: dict[str, Answer] = {}
    for number in range(100):
        nursery.start_soon(operated.service.ask, answers, HELD, f"held {number}")
    with trio.fail_after(PATIENCE):
        await simulator.wait(lambda now: now.held == 100)
    for path in ("metrics", "connections", "providers/simulator", "providers"):
        await operated.done("restart", path)
    status = msgspec.json.decode(await operated.done("status", "--json"))
    assert (status["streams"], status["connections"]) == (100, 100)
    assert not answers
    simulator.release()
    await until(lambda: len(answers) == 100)
    for prompt, answer in answers.items():
        assert is_whole(answer, text_of(HELD, prompt, 20))
