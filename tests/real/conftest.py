"""Real programs on loopback, each ended by the fixture that started it."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import trio
from tests.real.serving import KEY, Operated, Start, serving
from tests.service.operators_world import SEED

from sluice.ops.simulator import Simulator, open_simulator

StartPrometheus = Callable[..., Awaitable[httpx2.AsyncClient]]


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[StartPrometheus]:
    """Starts a Prometheus that scrapes ``{job: url}`` every ``interval``, and waits as long for it.

    The client it returns has the server's address as its base, and the server is ready. It
    scrapes for the first time some five seconds later; its log is ``log`` in its folder.
    """
    async with AsyncExitStack() as running:

        async def start(jobs: dict[str, str], interval: str = "1s") -> httpx2.AsyncClient:
            port = free_port()
            data = tmp_path / f"prometheus-{port}"
            data.mkdir()
            config = data / "prometheus.yml"
            config.write_text(json.dumps(_prometheus_config(jobs, interval)))  # JSON is YAML.
            command = [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
            with (data / "log").open("wb") as log:
                process = await trio.lowlevel.open_process(command, stderr=log)
            running.push_async_callback(_end, process)
            client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
            await running.enter_async_context(client)
            await _until_ready(client, process)
            return client

        yield start


def _prometheus_config(jobs: dict[str, str], interval: str) -> dict[str, object]:
    urls = {job: urlsplit(url) for job, url in jobs.items()}
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {
                "job_name": job,
                "metrics_path": url.path or "/metrics",
                "static_configs": [{"targets": [url.netloc]}],
            }
            for job, url in urls.items()
        ],
    }


async def _until_ready(client: httpx2.AsyncClient, process: trio.Process) -> None:
    with trio.fail_after(30):
        while True:
            assert process.poll() is None, "prometheus ended; is its port taken?"
            try:
                if (await client.get("/-/ready")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass  # Not listening yet.
            await trio.sleep(0.05)


async def _end(process: trio.Process) -> None:
    """SIGTERM, a bounded wait, SIGKILL."""
    with trio.CancelScope(shield=True):
        process.terminate()
        with trio.move_on_after(10):
            await process.wait()
            return
        process.kill()
        await process.wait()


def free_port() -> int:
    """One that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A provider that misbehaves on request; its answers are those of `operators_world`."""
    async with open_simulator(seed=SEED, api_key=KEY) as running:
        yield running


@pytest.fixture
async def start(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts ``sluice serve`` with that provider; what was started is killed with the test."""
    async with AsyncExitStack() as running:

        async def start_one(drain: float = 30) -> Operated:
            opened = serving(tmp_path, simulator.base_url, drain)
            return await running.enter_async_context(opened)

        yield start_one
