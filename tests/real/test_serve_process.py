"""``sluice serve`` as a process: how it starts, what it logs, and how a signal ends it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer, RawClient
from tests.leaks import nothing_left_at
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    SEED,
    SHORT,
    failed,
    is_refused,
    is_whole,
    request,
    text_of,
    until,
)

from sluice.ops.simulator import Simulator, open_simulator

pytestmark = pytest.mark.real

CONFIG = """
[server]
bind = "127.0.0.1:0"
workers = 0
drain = {drain}

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
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
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

    async def told(self, event: str) -> Line:
        """The first log line of ``event``, as soon as it is there."""
        with trio.fail_after(PATIENCE):
            while True:
                ended = self.process.poll() is not None
                for line in self.lines():
                    if line["event"] == event:
                        return line
                assert not ended, self.log.read_text()
                await trio.sleep(0.02)

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


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with open_simulator(seed=SEED, api_key=KEY) as running:
        yield running


@pytest.fixture
async def start(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a service that streams get ``drain`` seconds of; it is killed with the test.

    Nothing of any request is left in it then.
    """
    async with AsyncExitStack() as running:

        async def start_one(drain: float = 30) -> Service:
            config = tmp_path / "sluice.toml"
            config.write_text(CONFIG.format(drain=drain, base_url=simulator.base_url))
            log = tmp_path / "log"
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
            return service

        yield start_one


async def killed(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()


class Streams:
    """Streams under way: two that will end once they are let, two that never will."""

    def __init__(self, service: Service, simulator: Simulator, nursery: trio.Nursery) -> None:
        self.simulator = simulator
        self.held: dict[str, Answer] = {}
        self.stalled: dict[str, Answer] = {}
        for number in range(2):
            nursery.start_soon(service.ask, self.held, HELD, f"held {number}")
            nursery.start_soon(service.ask, self.stalled, STALLED, f"stalled {number}")

    async def under_way(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.simulator.wait(lambda now: now.held == 2 and now.open == 4)

    async def answered(self) -> None:
        await until(lambda: len(self.held) == len(self.stalled) == 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_tells_those_that_do_not_end_and_exits_with_0(
    start: Start, simulator: Simulator, number: signal.Signals, nursery: trio.Nursery
) -> None:
    service = await start(drain=2)
    streams = Streams(service, simulator, nursery)
    await streams.under_way()
    assert (await service.get("/health/ready")).status == 200
    service.process.send_signal(number)
    assert (await service.told("draining"))["signal"] == number.name
    ready = await service.get("/health/ready")
    assert ready.status == 503
    assert msgspec.json.decode(ready.body)["ready"] is False
    assert (await service.get("/health/live")).status == 200
    assert (await service.get("/metrics")).status == 200
    assert is_refused(await service.send(request(SHORT, "late")), 503, "not_accepting")
    simulator.release()
    await streams.answered()
    for prompt, answer in streams.held.items():
        assert is_whole(answer, text_of(HELD, prompt, 20))
    assert all(failed(answer, "stopping") for answer in streams.stalled.values())
    assert await service.ends() == 0
    assert service.lines()[-1]["event"] == "stopped"
    assert await service.refuses_connections()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_service_ends_at_once(start: Start, number: signal.Signals) -> None:
    service = await start(drain=10 * 3600)
    async with await trio.open_tcp_stream("127.0.0.1", service.port) as stream:
        client = RawClient(stream)
        kept = await client.request(request(SHORT, "before", keep=True))
        assert is_whole(kept, text_of(SHORT, "before", 4))
        service.process.send_signal(number)
        assert await client.closed()
        assert await service.ends() == 0
    assert [line for line in service.lines() if line["level"] in {"warning", "error"}] == []


async def test_a_second_signal_ends_at_once_and_still_honestly(
    start: Start, simulator: Simulator, nursery: trio.Nursery
) -> None:
    service = await start(drain=10 * 3600)
    streams = Streams(service, simulator, nursery)
    await streams.under_way()
    service.process.terminate()
    await service.told("draining")
    service.process.terminate()
    assert await service.ends() == 1
    await streams.answered()
    for answer in [*streams.held.values(), *streams.stalled.values()]:
        assert is_refused(answer, 503, "stopping") or failed(answer, "stopping")
    await simulator.wait(lambda now: now.open == 0)


async def test_a_second_signal_ends_a_service_whose_clients_do_not_read(
    start: Start, simulator: Simulator
) -> None:
    service = await start(drain=10 * 3600)
    async with await trio.open_tcp_stream("127.0.0.1", service.port) as stream:
        await stream.send_all(request("sim-ok?chunks=60000", "large"))
        with trio.fail_after(PATIENCE):
            await simulator.wait(lambda now: now.open == 1)
        service.process.terminate()
        await service.told("draining")
        service.process.terminate()
        assert await service.ends() == 1


async def test_a_drain_ends_with_the_last_stream(
    start: Start, simulator: Simulator, nursery: trio.Nursery
) -> None:
    service = await start(drain=10 * 3600)
    answers: dict[str, Answer] = {}
    nursery.start_soon(service.ask, answers, HELD, "held")
    await simulator.wait(lambda now: now.held == 1)
    service.process.terminate()
    await service.told("draining")
    simulator.release()
    assert await service.ends() == 0
    await until(lambda: bool(answers))
    assert is_whole(answers["held"], text_of(HELD, "held", 20))


async def test_what_is_killed_leaves_nothing_behind(start: Start, simulator: Simulator) -> None:
    service = await start()
    children = service.children()
    assert len(children) == 1  # the store
    async with await trio.open_tcp_stream("127.0.0.1", service.port) as stream:
        client = RawClient(stream)
        await client.send(request(HELD, "held"))
        assert b"id: " in await client.more()
        service.process.kill()
        assert await service.ends() == -signal.SIGKILL
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
    assert await service.refuses_connections()
    with trio.fail_after(PATIENCE):
        await simulator.wait(lambda now: now.open == 0)
    await until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


# -- the log -------------------------------------------------------------------------------------

PROMPT = "prompt-marker-1b2c"
TOKEN = "token-marker-3d4e"
ANSWER = text_of(SHORT, PROMPT, 4)


async def test_log_lines_are_json_in_utc_without_prompts_answers_and_secrets(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_BREAKER__FAILURES", "1000")  # many fail here on purpose
    service = await start()
    head = b"Authorization: Bearer %b\r\nX-Request-Id: mine-1\r\nContent-" % TOKEN.encode()

    async def send(data: bytes) -> Answer:
        return await service.send(data.replace(b"Content-", head, 1))

    assert is_whole(await send(request(SHORT, PROMPT)), ANSWER)
    assert (await send(request(SHORT, PROMPT, streamed=False))).status == 200
    for model in ("sim-cut", "sim-garbage", "sim-error-in-stream", "sim-503", "sim-reset"):
        await send(request(model, PROMPT))
    assert (await send(request("unknown-" + PROMPT, PROMPT))).status == 404
    assert (await send(request(SHORT, PROMPT).replace(b'"messages"', b'"massages"'))).status == 400
    assert (await service.get(f"/stream?model={SHORT}&prompt={PROMPT}")).status == 200
    assert (await service.get(f"/{PROMPT}?token={TOKEN}")).status == 404
    service.process.terminate()
    assert await service.ends() == 0
    text = service.log.read_text()
    assert text.endswith("\n")
    for marker in (PROMPT, TOKEN, KEY, "Bearer", ANSWER[:12]):
        assert marker not in text
    lines = service.lines()
    assert all(RFC_3339.fullmatch(line["timestamp"]) for line in lines)
    assert {"level", "event"} <= set.intersection(*(set(line) for line in lines))
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["request_id"] for line in requests[:9]] == ["mine-1"] * 9
    assert len({line["end"] for line in requests}) == 8
    assert [line for line in lines if line["level"] == "error"] == []


# -- a start that fails --------------------------------------------------------------------------


def serve(tmp_path: Path, config: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``sluice serve`` with ``config``, which must end by itself."""
    file = tmp_path / "sluice.toml"
    file.write_text(config)
    return subprocess.run(
        [COMMAND, "serve", "--config", str(file), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PROVIDER_KEY": KEY},
    )


def test_an_address_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    config = CONFIG.format(drain=1, base_url="http://127.0.0.1:9/v1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = serve(tmp_path, config, "--bind", address)
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert line == f"sluice: cannot listen at {address}: Address already in use"
    assert "Traceback" not in ended.stderr


MISTAKEN = """\
[server]
bind = "127.0.0.1"
drain = -1

[providers.openai]
base_url = "api.openai.com"

[models."gpt-4o"]
provider = "opnai"
"""


def test_all_mistakes_of_a_configuration_are_told_with_their_lines(tmp_path: Path) -> None:
    ended = serve(tmp_path, MISTAKEN)
    assert ended.returncode == 1
    *mistakes, last = ended.stderr.splitlines()
    file = tmp_path / "sluice.toml"
    numbers = [re.match(rf"{re.escape(str(file))}:(\d+): ", line) for line in mistakes]
    assert [int(found[1]) for found in numbers if found is not None] == [2, 3, 6, 9]
    assert last == "4 mistakes in the configuration"


def test_a_secret_that_is_not_set_is_told_by_its_variable_only(tmp_path: Path) -> None:
    config = CONFIG.format(drain=1, base_url="http://127.0.0.1:9/v1").replace(
        "env:PROVIDER_KEY", "env:NO_SUCH_VARIABLE"
    )
    ended = serve(tmp_path, config)
    assert ended.returncode == 1
    assert "NO_SUCH_VARIABLE" in ended.stderr
    assert "1 mistake in the configuration" in ended.stderr


def test_a_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    ended = subprocess.run(
        [COMMAND, "serve", "--config", str(tmp_path / "absent.toml")],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 1
    assert "absent.toml" in ended.stderr
    assert "Traceback" not in ended.stderr
