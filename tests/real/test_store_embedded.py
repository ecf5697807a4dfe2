"""Our own Valkey: who may use its folder, what becomes of it, and of those left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.real.store_servers import is_running

from sluice.actors.store import (
    Place,
    StoreClient,
    StoreSettings,
    StoreStartError,
    StoreUnavailable,
    command,
    key,
)
from sluice.actors.store.embedded import EmbeddedStatistics, listener, take
from sluice.engine import ActorStatistics, StartFailed, SupervisorSpec, System, open_system
from sluice.ops.config import Config, ServerSettings
from sluice.ops.store import store_children, store_of

pytestmark = pytest.mark.real

SET = command("SET", key("test"), "kept")
GET = command("GET", key("test"))


@asynccontextmanager
async def embedded(data_dir: Path) -> AsyncIterator[tuple[System, StoreClient]]:
    """A tree with an embedded store, as a host has it."""
    config = Config(server=ServerSettings(data_dir=str(data_dir)), store=StoreSettings())
    client = store_of(config, lambda _: None)
    assert client is not None
    connecting = client.serve
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connecting)
        async with open_system(SupervisorSpec("root", store_children(config, client))) as system:
            yield system, client
        nursery.cancel_scope.cancel()


def server_of(system: System) -> EmbeddedStatistics:
    found = system.inspect("store/embedded")
    assert isinstance(found, ActorStatistics)
    assert isinstance(found.domain, EmbeddedStatistics)
    return found.domain


def process_of(system: System) -> int:
    process = server_of(system).process
    assert process is not None
    return process


async def until_replaced(system: System, process: int) -> None:
    with trio.fail_after(30):
        while True:
            found = system.inspect("store/embedded")
            server = found.domain if isinstance(found, ActorStatistics) else None
            if isinstance(server, EmbeddedStatistics) and server.process not in {None, process}:
                return
            await trio.sleep(0.01)


async def until_answered(client: StoreClient) -> object:
    with trio.fail_after(30):
        while True:
            try:
                return await client.run(GET)
            except StoreUnavailable:
                await trio.sleep(0.01)


async def test_it_listens_at_a_socket_that_only_we_reach_and_at_no_port(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (system, client):
        assert await client.run(SET) == b"OK"
        place = Place.below(str(tmp_path))
        assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
        assert listener(place) == process_of(system)
        assert (await client.run(command("CONFIG", "GET", "port", key=""))) == [b"port", b"0"]
        process = process_of(system)
    assert not is_running(process)
    assert listener(place) is None


async def test_what_was_written_is_there_after_a_restart_and_after_a_kill(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (_, client):
        await client.run(SET)
    async with embedded(tmp_path) as (system, client):
        assert await client.run(GET) == b"kept"
        await client.run(command("SET", key("test"), "since then"))
        killed = process_of(system)
        os.kill(killed, signal.SIGKILL)
        await until_replaced(system, killed)
        assert await until_answered(client) == b"since then"
        restarted = await system.restart("store/embedded")
        assert restarted.incarnation == 3
        assert await until_answered(client) == b"since then"


async def test_two_hosts_on_one_folder_are_refused(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (system, client):
        refused = f"another sluice .process {os.getpid()}. uses .* data_dir"
        with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=refused)):
            async with embedded(tmp_path):
                raise AssertionError("started")
        assert is_running(process_of(system))
        assert await client.run(SET) == b"OK"


@pytest.mark.parametrize("paused", [False, True])
async def test_the_server_of_a_killed_host_is_ended_by_the_next_start(
    tmp_path: Path, paused: bool
) -> None:
    program = f"""
import trio
from tests.real.test_store_embedded import SET, embedded, process_of
from pathlib import Path

async def main():
    async with embedded(Path({str(tmp_path)!r})) as (system, client):
        await client.run(SET)
        print(process_of(system), flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
    command = [sys.executable, "-c", program]
    async with trio.open_nursery() as nursery:
        host = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        try:
            assert host.stdout is not None
            with trio.fail_after(30):
                left = int(await host.stdout.receive_some())
        finally:
            with trio.CancelScope(shield=True):
                host.kill()
                await host.wait()
        nursery.cancel_scope.cancel()
    assert is_running(left)
    if paused:
        os.kill(left, signal.SIGSTOP)
    async with embedded(tmp_path) as (system, client):
        assert not is_running(left)
        assert server_of(system).ended == left
        assert await client.run(GET) == b"kept"


async def test_a_folder_that_cannot_be_used_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    told = r"the embedded store cannot use .* \[store\] url"
    with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=told)):
        async with embedded(tmp_path):
            raise AssertionError("started")


async def test_a_file_that_it_cannot_read_is_told_with_its_own_words(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (_, client):
        await client.run(SET)
    for file in (tmp_path / "store" / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"garbage\r\n" * 100)
    with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match="Bad file format")):
        async with embedded(tmp_path):
            raise AssertionError("started")


def test_a_folder_too_long_for_a_socket_is_told() -> None:
    with pytest.raises(StoreStartError, match="too long for a socket"):
        take(Place.below("/" + "x" * 100))
