"""``sluice serve`` under load while its embedded store is stopped, killed and full."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import redis
import trio
from tests.conftest import DATA_DIR
from tests.http.edge_world import Answer
from tests.real.serving import Line, Service, Start
from tests.real.store_servers import (
    REDIS,
    free_port,
    kill_left,
    open_server,
    tls_options,
    until_ended,
)
from tests.service.operators_world import HELD, PATIENCE, SHORT, is_whole, text_of, until

from sluice.actors.store import Place
from sluice.actors.store.embedded import listener
from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

WORKERS = "SLUICE_SERVER__WORKERS"
PACE = 0.01
"""Seconds that a client leaves between two requests: others need the processor as well."""


def in_a_row() -> int:
    """Answers of ``/health`` that say the same before every worker is taken to say so."""
    return 12 if os.environ.get(WORKERS) == "2" else 1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Where the store is; one that is stopped when a test fails is ended with the test."""
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "data"))
    place = Place.below(str(tmp_path / "data"))
    yield place
    kill_left(place)


def server_of(place: Place) -> int:
    process = listener(place)
    assert process is not None
    return process


@asynccontextmanager
async def load(service: Service, simulator: Simulator) -> AsyncIterator[None]:
    """Short requests one after the other, and a long stream; all must be answered in whole."""
    answers: dict[str, Answer] = {}
    held: dict[str, Answer] = {}
    done = trio.Event()

    async def ask_on(name: str) -> None:
        count = 0
        while not done.is_set():
            count += 1
            await service.ask(answers, SHORT, f"{name} {count}")
            await trio.sleep(PACE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.ask, held, HELD, "held")
        await simulator.wait(lambda now: now.held == 1)
        for name in ("one", "other"):
            nursery.start_soon(ask_on, name)
        yield
        done.set()
        simulator.release()
    assert is_whole(held["held"], text_of(HELD, "held", 20))
    assert answers
    assert all(is_whole(answers[each], text_of(SHORT, each, 4)) for each in answers)


async def until_health(service: Service, status: str, reason: str = "") -> None:
    """Return when all who answer say so."""
    row = 0
    with trio.fail_after(PATIENCE):
        while row < in_a_row():
            answer = await service.get("/health")
            assert answer.status == 200
            said = msgspec.json.decode(answer.body)
            assert said["status"] in {"healthy", "degraded"}
            row = row + 1 if said["status"] == status else 0
            assert not row or reason in " ".join(said.get("reasons", []))


def store_lines(service: Service) -> list[Line]:
    return [line for line in service.lines() if line["event"].startswith("store ")]


async def cache_errors(service: Service) -> float:
    text = (await service.get("/metrics")).body.decode()
    labels = r'\{error_type="cache_error",stage="cache_lookup"\}'
    (found,) = re.findall(rf"^sse_errors_total{labels} (\S+)$", text, re.MULTILINE)
    return float(found)


@pytest.mark.parametrize("workers", ["0", "2"])
async def test_no_request_fails_while_the_store_is_stopped_or_killed_and_none_is_left_behind(
    start: Start,
    simulator: Simulator,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
) -> None:
    monkeypatch.setenv(WORKERS, workers)
    service = (await start()).service
    first = server_of(place)
    async with load(service, simulator):
        await until_health(service, "healthy")
        os.kill(first, signal.SIGSTOP)
        await until_health(service, "degraded", "The store is passed by: ")
        os.kill(first, signal.SIGCONT)
        await until_health(service, "healthy")
        os.kill(first, signal.SIGKILL)
        await until(lambda: listener(place) not in {None, first})
        await until_health(service, "healthy")
    assert await cache_errors(service) >= 2
    crashed = [line["actor"] for line in service.lines() if line["event"] == "actor crashed"]
    assert crashed == ["store/embedded"]
    last = server_of(place)
    service.process.kill()
    await until_ended(last)


async def test_a_full_store_degrades_the_service_and_is_told_once(
    start: Start, simulator: Simulator, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS, "0")
    service = (await start()).service
    operator = redis.Redis(unix_socket_path=str(place.socket))
    async with load(service, simulator):
        operator.config_set("maxmemory", 1)
        await until_health(service, "degraded", "The store is full and takes no writes: unix:")
        operator.config_set("maxmemory", 0)
        await until_health(service, "healthy")
    operator.close()
    told = ["store usable", "store full", "store usable"]
    await until(lambda: [line["event"] for line in store_lines(service)] == told)
    assert store_lines(service)[1]["reason"].startswith("OOM command not allowed")


async def test_a_redis_with_tls_and_a_user_may_come_late_and_be_killed(
    start: Start, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    user = ["--user", "sluice", "on", ">hunter2", "~sluice:*", "+@all", "--requirepass", "other"]
    options = [*tls_options(tmp_path, port), *user]
    monkeypatch.setenv(WORKERS, "0")
    monkeypatch.setenv("SLUICE_STORE__URL", f"rediss://localhost:{port}/1")
    monkeypatch.setenv("SLUICE_STORE__CA_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SLUICE_STORE__USERNAME", "sluice")
    monkeypatch.setenv("SLUICE_STORE__PASSWORD", "env:STORE_PASSWORD")
    monkeypatch.setenv("STORE_PASSWORD", "hunter2")
    service = (await start()).service
    gone = f"The store is passed by: localhost:{port}: no connection to"
    async with load(service, simulator):
        await service.told("store passed by")
        await until_health(service, "degraded", gone)
        async with open_server(REDIS, tmp_path / "data", *options):
            await until_health(service, "healthy")
        await until_health(service, "degraded", f"The store is passed by: localhost:{port}: ")
    told = ["store passed by", "store usable", "store passed by"]
    await until(lambda: [line["event"] for line in store_lines(service)] == told)
    assert await cache_errors(service) == 2
    assert "hunter2" not in service.log.read_text()
