"""SIGHUP to a running ``sluice serve``: what changes, what is named, what is not taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.serving import Start, change, eventually
from tests.service.operators_world import HELD, SHORT, is_whole, request, text_of, until

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

RENAMED = """
[models.renamed]
provider = "simulator"
upstream_model = "sim-ok?chunks=4"
"""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager, which the service is started by."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        yield sock


async def test_workers_are_replaced_by_such_as_have_it_and_no_stream_is_lost(
    start: Start,
    simulator: Simulator,
    nursery: trio.Nursery,
    manager: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLUICE_SERVER__WORKERS", "2")
    monkeypatch.setenv("SLUICE_TIMEOUTS__HEARTBEAT", "2")
    monkeypatch.setenv("SLUICE_TIMEOUTS__IDLE", "600")  # however slow the machine
    operated = await start()
    service, held, answers = operated.service, dict[str, Answer](), dict[str, Answer]()
    pid = service.process.pid
    assert manager.recv(999).startswith(b"READY=1\nMAINPID=%d\nSTATUS=serving at" % pid)
    for number in range(6):
        nursery.start_soon(service.ask, held, HELD, f"held {number}")
    await simulator.wait(lambda now: now.held == 6)
    done = trio.Event()

    async def ask_on() -> None:
        while not done.is_set():
            await service.ask(answers, SHORT, f"while {len(answers)}")

    async with trio.open_nursery() as asking:
        asking.start_soon(ask_on)
        bind = ('bind = "127.0.0.1:0"', 'bind = "127.0.0.1:9"')
        change(operated, bind, more=f"{RENAMED}[connections]\nlimit = 20\n")
        restart = await service.told("these need a restart, and stay as they were")
        taken = await service.told("configuration taken")
        done.set()
    assert restart["keys"] == ["server.bind"]
    assert (taken["live"], taken["workers"]) == (["connections.limit"], ["models.renamed"])
    assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(999).startswith(b"READY=1\n")
    assert all(is_whole(answers[each], text_of(SHORT, each, 4)) for each in answers)
    assert (await service.send(request("renamed", "new"))).status == 200
    exposition = (await service.get("/metrics")).body.decode()
    assert "\nsse_connection_limit 20.0\n" in exposition
    assert 'model="renamed",provider="simulator"' in exposition
    assert not held
    simulator.release()
    await until(lambda: len(held) == 6)
    assert all(is_whole(held[each], text_of(HELD, each, 20)) for each in held)
    change(operated, ("drain = 30", 'drain = 30\nlog_level = "debug"'))
    assert (await service.told("configuration taken", 2))["live"] == ["server.log_level"]

    async def workers_tell_more() -> bool:
        await service.get("/health/live")
        return any(line.get("route") == "/health/live" for line in service.lines())

    await eventually(workers_tell_more)
    assert manager.recv(999).startswith(b"RELOADING=1\n")
    assert manager.recv(999).startswith(b"READY=1\n")
    service.process.terminate()
    assert await service.ends() == 0
    assert manager.recv(999).startswith(b"STOPPING=1\nSTATUS=draining")


async def test_in_one_process_what_can_change_does_and_mistakes_leave_all_as_it_was(
    start: Start,
) -> None:
    operated = await start()
    service = operated.service
    change(operated, ("drain = 30", "drain = -1"), more="[connections]\nlimit = 7\n")
    mistaken = await service.told("configuration not taken: it has mistakes")
    (mistake,) = mistaken["mistakes"]
    assert mistake.startswith(f"{operated.config}:5: server.drain: -1 is out of range")
    assert b"\nsse_connection_limit 100.0\n" in (await service.get("/metrics")).body
    change(operated, ("drain = -1", 'drain = 30\nlog_level = "debug"'), more=RENAMED)
    restart = await service.told("these need a restart, and stay as they were")
    taken = await service.told("configuration taken")
    assert restart["keys"] == ["models.renamed"]
    assert set(taken["live"]) == {"connections.limit", "server.log_level"}
    assert b"\nsse_connection_limit 7.0\n" in (await service.get("/metrics")).body
    assert "level is debug" in await operated.done("log-level")
    assert (await service.send(request("renamed", "new"))).status == 404
