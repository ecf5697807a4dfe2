"""``sluice serve`` as a process: how it starts, what it logs, and how a signal ends it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer, RawClient
from tests.real.serving import COMMAND, CONFIG, KEY, Start, Streams
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    SHORT,
    failed,
    is_refused,
    is_whole,
    request,
    text_of,
    until,
)

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_tells_those_that_do_not_end_and_exits_with_0(
    start: Start, simulator: Simulator, number: signal.Signals, nursery: trio.Nursery
) -> None:
    service = (await start(drain=2)).service
    streams = Streams(service, simulator, nursery, held=2)
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
    service = (await start(drain=10 * 3600)).service
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
    service = (await start(drain=10 * 3600)).service
    streams = Streams(service, simulator, nursery, held=2)
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
    service = (await start(drain=10 * 3600)).service
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
    service = (await start(drain=10 * 3600)).service
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
    service = (await start()).service
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
    service = (await start()).service
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
    config = CONFIG.format(folder=tmp_path, drain=1, base_url="http://127.0.0.1:9/v1")
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
    config = CONFIG.format(folder=tmp_path, drain=1, base_url="http://127.0.0.1:9/v1").replace(
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
