"""The operators' commands against a real ``sluice serve``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer
from tests.leaks import nothing_left_at
from tests.real.test_serve_process import COMMAND, KEY, Service, killed
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    SEED,
    is_whole,
    text_of,
    until,
)

from sluice.ops.simulator import Simulator, open_simulator

pytestmark = pytest.mark.real

CONFIG = """
[server]
bind = "127.0.0.1:0"
workers = 0
drain = 30
data_dir = "{folder}/data"

[limits]
ip = "off"

[providers.simulator]
base_url = "{base_url}"
api_key = "env:PROVIDER_KEY"

[models."sim-*"]
provider = "simulator"
"""


class Operated:
    """A service, and an operator whose shell has no provider's key."""

    def __init__(self, service: Service, config: Path) -> None:
        self.service = service
        self.config = config
        self.environment = {k: v for k, v in os.environ.items() if k != "PROVIDER_KEY"}

    async def sluice(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        with trio.fail_after(PATIENCE):
            return await trio.run_process(
                [COMMAND, *words, "--config", str(self.config)],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=self.environment,
            )

    async def done(self, *words: str) -> str:
        ended = await self.sluice(*words)
        assert (ended.returncode, ended.stderr) == (0, b"")
        return ended.stdout.decode()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with open_simulator(seed=SEED, api_key=KEY) as running:
        yield running


Start = Callable[[], Awaitable[Operated]]


@pytest.fixture
async def start(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a service, which is killed with the test. Nothing of any request is left then."""
    async with AsyncExitStack() as running:

        async def start_one() -> Operated:
            config, log = tmp_path / "sluice.toml", tmp_path / "log"
            config.write_text(CONFIG.format(folder=tmp_path, base_url=simulator.base_url))
            with log.open("wb") as stderr:
                process = await trio.lowlevel.open_process(
                    [COMMAND, "serve", "--config", str(config)],
                    stdin=subprocess.DEVNULL,
                    stderr=stderr,
                    env={**os.environ, "PROVIDER_KEY": KEY},
                )
            running.push_async_callback(killed, process)
            service = Service(process, log)
            (address,) = (await service.told("serving"))["addresses"]
            service.port = int(address.rpartition(":")[2])
            running.push_async_callback(nothing_left_at, process, service.port)
            return Operated(service, config)

        yield start_one


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
    unknown = await operated.sluice("restart", "nobody")
    assert unknown.returncode == 1
    assert b"there is nothing at 'nobody'; there are: " in unknown.stderr
    refused = await operated.sluice("pause", "providers")
    assert refused.returncode == 1
    assert b"cannot pause a supervisor" in refused.stderr
    assert (await operated.sluice("log-level", "loud")).returncode == 2
    operated.service.process.kill()
    await operated.service.ends()
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
