"""``make demo`` as a newcomer meets it: started, tried with the line it prints, ended."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial

import httpx2
import pytest
import trio

from sluice.ops import demo

pytestmark = pytest.mark.real

PATIENCE = 60.0


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Demo:
    """A running demo and what it printed until it was ready."""

    def __init__(self, process: trio.Process, printed: str) -> None:
        self.process = process
        self.printed = printed
        self.address = re.findall(r"Sluice is on http://(\S+)\.", printed)[0]

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        with trio.fail_after(PATIENCE):
            return await self.process.wait()


@pytest.fixture
async def running() -> AsyncIterator[Demo]:
    environment = {**os.environ, "SLUICE_SERVER__BIND": free_address()}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "sluice.ops.demo"], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    printed = ""
    with trio.fail_after(PATIENCE):
        while "Ctrl-C" not in printed:
            piece = await process.stdout.receive_some()
            assert piece, f"it ended after {printed!r}"
            printed += piece.decode()
    yield Demo(process, printed)
    if process.returncode is None:
        process.terminate()
        await process.wait()
    await process.stdout.aclose()


async def test_the_lines_it_prints_work(running: Demo) -> None:
    commands = re.findall(r"^  (curl (?:.*\\\n)?.*)$", running.printed, re.MULTILINE)
    assert len(commands) == 3
    run = partial(trio.run_process, check=True, capture_stdout=True, stdin=b"")
    answers = []
    with trio.fail_after(PATIENCE):
        for each in commands:
            done = await run(["sh", "-c", f"{each} -s | head -n 200"])
            answers.append(done.stdout)
    assert answers[0].endswith(b"data: [DONE]\n\n")
    assert answers[1].count(b'data: {"text"') > 50
    assert b"sse_requests_total" in answers[2]


async def test_ctrl_c_ends_a_live_stream_with_a_word_and_leaves_nothing(running: Demo) -> None:
    url = f"http://{running.address}/stream?model=sim-stall&prompt=Hi"
    with trio.fail_after(PATIENCE):
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=None) as client,
            client.stream("GET", url) as response,
        ):
            pieces = response.aiter_bytes()
            received = await anext(pieces)
            running.process.send_signal(signal.SIGINT)
            async for piece in pieces:
                received += piece
    assert b"event: failure" in received
    assert b"event: done" not in received
    assert await running.process.wait() == 0
    with pytest.raises(OSError, match=r"all attempts"):
        await trio.open_tcp_stream(*_split(running.address))


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_other_signals_end_it_too(running: Demo, number: signal.Signals) -> None:
    assert await running.end(number) == 0


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[dict[str, str]], tuple[int, str]]:
    """What the demo says on standard error, and its exit code, with some variables set."""

    def run(variables: dict[str, str]) -> tuple[int, str]:
        code = demo.main({**os.environ, **variables})
        return code, capfd.readouterr().err

    return run


Said = Callable[[dict[str, str]], tuple[int, str]]


def test_an_address_that_is_taken_is_told_with_a_way_out(said: Said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, told = said({"SLUICE_SERVER__BIND": address})
    assert code == 1
    assert told.startswith(f"demo: {address} is taken; SLUICE_SERVER__BIND=")


def test_a_service_that_does_not_start_ends_it(said: Said) -> None:
    code, told = said({"SLUICE_SERVER__BIND": free_address(), "SLUICE_TIMEOUTS__IDLE": "soon"})
    assert code == 1
    assert 'SLUICE_TIMEOUTS__IDLE: timeouts.idle: "soon" is not a number' in told
    assert "demo: `sluice serve` ended by itself" in told
