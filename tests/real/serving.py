"""``sluice serve`` as a process, with the simulator behind it: what the tests of it share.

The fixtures that start them, ``simulator`` and ``start``, are in ``conftest``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from tests.http.edge_world import Answer, RawClient
from tests.leaks import nothing_left_at
from tests.service.operators_world import HELD, PATIENCE, request, until

from sluice.ops.simulator import Simulator

CONFIG = """
[server]
bind = "127.0.0.1:0"
workers = 0
drain = {drain}
data_dir = "{folder}/data"

[limits]
ip = "off"

[providers.simulator]
base_url = "{base_url}"
api_key = "env:PROVIDER_KEY"

[models."sim-*"]
provider = "simulator"
"""
KEY = "sk-provider-marker-7d1f"
STALLED = "sim-stall?chunks=9"
COMMAND = str(Path(sys.executable).with_name("sluice"))

Line = dict[str, Any]


class Service:
    """A process of ``sluice serve`` that serves; its log is a file."""

    def __init__(self, process: trio.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.port = 0

    def lines(self) -> list[Line]:
        """Every complete line of its log, all of which are JSON."""
        text = self.log.read_text()
        return [msgspec.json.decode(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def children(self) -> list[str]:
        """The ids of its own processes, whichever thread has started them."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [child for each in threads for child in (each / "children").read_text().split()]

    async def told(self, event: str, times: int = 1) -> Line:
        """The last of so many log lines of ``event``, as soon as it is there."""
        with trio.fail_after(PATIENCE):
            while True:
                ended = self.process.poll() is not None
                lines = [line for line in self.lines() if line["event"] == event]
                if len(lines) >= times:
                    return lines[times - 1]
                assert not ended, self.log.read_text()
                await trio.sleep(0.02)

    async def serves(self) -> None:
        """Return when it does: from then on its ``port`` is known."""
        (address,) = (await self.told("serving"))["addresses"]
        self.port = int(address.rpartition(":")[2])

    async def ends(self) -> int:
        """Its exit code, once it has one."""
        with trio.fail_after(PATIENCE):
            return await self.process.wait()

    async def send(self, data: bytes) -> Answer:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            return await RawClient(stream).request(data)

    async def ask(self, answers: dict[str, Answer], model: str, prompt: str) -> None:
        answers[prompt] = await self.send(request(model, prompt))

    async def get(self, path: str) -> Answer:
        return await self.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())

    async def refuses_connections(self) -> bool:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        except OSError:
            return True
        await stream.aclose()
        return False


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


Start = Callable[..., Awaitable[Operated]]
"""Starts a service whose streams get ``drain`` seconds to end."""


@asynccontextmanager
async def serving(folder: Path, base_url: str, drain: float) -> AsyncIterator[Operated]:
    """A service with a provider at ``base_url``; what is its own is in ``folder``.

    It is killed at the block's end. Nothing of any request is left in it then.
    """
    config, log = folder / "sluice.toml", folder / "log"
    config.write_text(CONFIG.format(folder=folder, base_url=base_url, drain=drain))
    service = await started(log, COMMAND, "serve", "--config", str(config))
    async with AsyncExitStack() as ending:
        ending.push_async_callback(killed, service.process)
        await service.serves()
        ending.push_async_callback(nothing_left_at, service.process, service.port)
        yield Operated(service, config)


async def started(log: Path, *argv: str, **variables: str) -> Service:
    """The process ``argv``, which is to serve: it knows the provider's key, and ``variables``."""
    with log.open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            argv,
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "PROVIDER_KEY": KEY, **variables},
        )
    return Service(process, log)


async def killed(process: trio.Process) -> None:
    """Kill it, if it has not ended, and reap it."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()


class Streams:
    """Streams under way: so many that end once they are let (``held``), and two that never do."""

    def __init__(
        self, service: Service, simulator: Simulator, nursery: trio.Nursery, held: int
    ) -> None:
        self.simulator = simulator
        self.held: dict[str, Answer] = {}
        self.stalled: dict[str, Answer] = {}
        self._count = held
        for number in range(held):
            nursery.start_soon(service.ask, self.held, HELD, f"held {number}")
        for number in range(2):
            nursery.start_soon(service.ask, self.stalled, STALLED, f"stalled {number}")

    async def under_way(self) -> None:
        count = self._count
        with trio.fail_after(PATIENCE):
            await self.simulator.wait(lambda now: now.held == count and now.open == count + 2)

    async def answered(self) -> None:
        await until(lambda: len(self.held) == self._count and len(self.stalled) == 2)


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


async def cut(service: Service, prompt: str, model: str = HELD) -> None:
    """Ask; the connection ends in the middle of the answer."""
    async with await trio.open_tcp_stream("127.0.0.1", service.port) as stream:
        client = RawClient(stream)
        await client.send(request(model, prompt))
        assert b"[DONE]" not in await client.rest()


def change(operated: Operated, *changes: tuple[str, str], more: str = "") -> None:
    """Write another configuration, and have it read."""
    text = operated.config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    operated.config.write_text(text + more)
    operated.service.process.send_signal(signal.SIGHUP)
