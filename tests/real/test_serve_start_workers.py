"""A signal to ``sluice serve`` while one of its workers serves already and another one starts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.test_serve_process import CONFIG, KEY, STALLED, Service, killed, simulator
from tests.service.operators_world import PATIENCE, failed, is_refused, until

from sluice.ops.simulator import Simulator

__all__ = ["simulator"]  # the fixture

pytestmark = pytest.mark.real

HANGS = """
import sys
from sluice.ops import host
from sluice.ops.cli import main

made = host.ProcessSpec

def spec(name, argv, **options):
    return made(name, ["/bin/sleep", "600"] if name == "worker-2" else argv, **options)

host.ProcessSpec = spec
sys.exit(main(["serve", "--config", sys.argv[1], "--workers", "2"]))
"""
"""The service, with a second worker that is never ready."""


async def port_of_the_first(service: Service) -> int:
    """Where the worker that serves already is reached, as its edge says in the log."""
    with trio.fail_after(PATIENCE):
        while True:
            for line in service.lines():
                if line["event"].startswith("Running on http://"):
                    return int(line["event"].split()[2].rpartition(":")[2])
            await trio.sleep(0.02)


async def test_a_signal_that_ends_the_start_tells_the_streams_that_run_already(
    simulator: Simulator, tmp_path: Path, nursery: trio.Nursery
) -> None:
    config, log = tmp_path / "sluice.toml", tmp_path / "log"
    config.write_text(CONFIG.format(drain=600, base_url=simulator.base_url))
    with log.open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", HANGS, str(config)],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "PROVIDER_KEY": KEY},
        )
    async with AsyncExitStack() as running:
        running.push_async_callback(killed, process)
        service = Service(process, log)
        service.port = await port_of_the_first(service)
        answers: dict[str, Answer] = {}
        nursery.start_soon(service.ask, answers, STALLED, "early")
        await simulator.wait(lambda now: now.open == 1)
        process.terminate()
        assert await service.ends() == 0
        await until(lambda: len(answers) == 1)
        assert is_refused(answers["early"], 503, "stopping") or failed(answers["early"], "stopping")
        assert [line for line in service.lines() if line["event"] == "ending the start"]
