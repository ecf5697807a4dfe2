"""A signal to ``sluice serve`` while one of its workers serves already and another one starts."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.conftest import free_port
from tests.real.serving import CONFIG, STALLED, Service, killed, started
from tests.service.operators_world import failed, is_refused, until

from sluice.ops.simulator import Simulator

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


async def the_first_serves(service: Service) -> None:
    """Return when a worker accepts; the service as a whole says nothing of an address yet."""
    await until(
        lambda: any(
            (line["event"], line.get("actor")) == ("actor started", "edge")
            for line in service.lines()
        )
    )


async def test_a_signal_that_ends_the_start_tells_the_streams_that_run_already(
    simulator: Simulator, tmp_path: Path, nursery: trio.Nursery
) -> None:
    config, log = tmp_path / "sluice.toml", tmp_path / "log"
    port = free_port()
    text = CONFIG.format(folder=tmp_path, drain=600, base_url=simulator.base_url)
    config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    service = await started(log, sys.executable, "-c", HANGS, str(config))
    async with AsyncExitStack() as running:
        running.push_async_callback(killed, service.process)
        service.port = port
        await the_first_serves(service)
        answers: dict[str, Answer] = {}
        nursery.start_soon(service.ask, answers, STALLED, "early")
        await simulator.wait(lambda now: now.open == 1)
        service.process.terminate()
        assert await service.ends() == 0
        await until(lambda: len(answers) == 1)
        assert is_refused(answers["early"], 503, "stopping") or failed(answers["early"], "stopping")
        assert [line for line in service.lines() if line["event"] == "ending the start"]
