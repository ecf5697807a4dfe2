"""Signals to ``sluice serve`` while it starts: the first ends the start, the second all."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from tests.service.operators_world import PATIENCE

pytestmark = pytest.mark.real

HANGS = """
import sys
import trio
from sluice.actors.{module} import {actor}
from sluice.ops.cli import main

async def on_start(self):
    with trio.CancelScope(shield={stubborn}):
        print("hangs", flush=True)
        await trio.sleep_forever()

{actor}.on_start = on_start
sys.exit(main(["serve", "--bind", "127.0.0.1:0", "--workers", "0"]))
"""
"""The service, with an actor that is never ready; if ``stubborn``, not even cancelled."""

Start = Callable[..., Awaitable["Hanging"]]


class Hanging:
    """A service that hangs in its start; its log is a file."""

    def __init__(self, process: trio.Process, log: Path) -> None:
        self.process = process
        self.log = log

    async def told(self, words: str) -> None:
        """Return as soon as its log holds ``words``."""
        with trio.fail_after(PATIENCE):
            while True:
                ended = self.process.poll() is not None
                if words in self.log.read_text():
                    return
                assert not ended, self.log.read_text()
                await trio.sleep(0.02)

    async def ends(self) -> int:
        """Its exit code, once it has one."""
        with trio.fail_after(PATIENCE):
            return await self.process.wait()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a service whose ``actor`` hangs; it is killed with the test."""
    async with AsyncExitStack() as running:

        async def start_one(actor: str, *, stubborn: bool = False) -> Hanging:
            log = tmp_path / "log"
            module = ".".join([actor.lower()] * 2)
            program = HANGS.format(module=module, actor=actor, stubborn=stubborn)
            with log.open("wb") as stderr:
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-c", program],
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    cwd=tmp_path,
                )
            running.push_async_callback(_killed, process)
            await Hanging(process, log).told("hangs")
            return Hanging(process, log)

        yield start_one


async def _killed(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("actor", ["Metrics", "Streams"])
async def test_a_signal_during_the_start_ends_it_in_order(
    start: Start, actor: str, number: signal.Signals
) -> None:
    """The first actor to start, and one that lets streams end for longer than the test waits."""
    service = await start(actor)
    service.process.send_signal(number)
    assert await service.ends() == 0
    log = service.log.read_text()
    assert f'"event":"ending the start","source":"sluice.serve","signal":"{number.name}"' in log
    assert '"event":"stopped"' in log
    assert '"event":"serving"' not in log
    assert "Traceback" not in log
    said = re.findall('"level":"(?:warning|error)","event":"([^"]*)', log)
    assert said == ["configuration"]  # of its own: it has no provider


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_during_the_start_ends_at_once(
    start: Start, number: signal.Signals
) -> None:
    service = await start("Streams", stubborn=True)
    service.process.terminate()
    await service.told("ending the start")
    service.process.send_signal(number)
    assert await service.ends() == 1
    assert f"sluice: {number.name}: ended by force while starting\n" in service.log.read_text()


EARLY = """
import os, signal, sys
from sluice.ops import serve
from sluice.ops.cli import main

bind = serve.bind

def signalled(*arguments):
    os.kill(os.getpid(), signal.{number})
    return bind(*arguments)

serve.bind = signalled
sys.exit(main(["serve", "--bind", "127.0.0.1:0", "--workers", "0"]))
"""
"""The service, with a signal before anybody listens for signals."""


@pytest.mark.parametrize(
    "shell", [["env"], ["nohup", "sh", "-c", 'trap "" INT && exec "$@"', "sh"]]
)
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_before_the_start_ends_it_in_order(
    tmp_path: Path, number: str, shell: list[str]
) -> None:
    """Also below a shell's background, where it is ignored at first."""
    ended = subprocess.run(
        [*shell, sys.executable, "-c", EARLY.format(number=number)],
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
    )
    assert ended.returncode == 0
    assert f'"event":"ending the start","source":"sluice.serve","signal":"{number}"' in ended.stderr
    assert "Traceback" not in ended.stderr
