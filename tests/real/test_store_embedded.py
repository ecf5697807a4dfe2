"""Our own Valkey: who may use its folder, what becomes of it, and of those left behind."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.real.store_servers import is_running, kill_left, until_ended

from sluice.actors.store import (
    Place,
    StoreClient,
    StoreSettings,
    StoreStartError,
    StoreUnavailable,
    command,
    key,
)
from sluice.actors.store.embedded import EmbeddedStatistics, command_line, listener, take
from sluice.engine import ActorStatistics, StartFailed, SupervisorSpec, System, open_system
from sluice.ops.config import Config, ServerSettings
from sluice.ops.store import find_program, store_children, store_of

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


@asynccontextmanager
async def killed_host(data_dir: Path) -> AsyncIterator[tuple[trio.Process, int]]:
    """A host with an embedded store, and that store's process; it is killed with the test."""
    program = f"""
import trio
from tests.real.test_store_embedded import SET, embedded, process_of
from pathlib import Path

async def main():
    async with embedded(Path({str(data_dir)!r})) as (system, client):
        await client.run(SET)
        print(process_of(system), flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
    command = [sys.executable, "-c", program]
    host = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        assert host.stdout is not None
        with trio.fail_after(30):
            yield host, int(await host.stdout.receive_some())
    finally:
        with trio.CancelScope(shield=True):
            host.kill()
            await host.wait()


async def test_the_server_of_a_killed_host_ends_with_it_and_loses_nothing(tmp_path: Path) -> None:
    async with killed_host(tmp_path) as (_, server):
        assert is_running(server)
    await until_ended(server)
    async with embedded(tmp_path) as (system, client):
        assert server_of(system).ended is None
        assert await client.run(GET) == b"kept"


async def test_a_host_that_is_replaced_at_once_finds_what_the_killed_one_kept(
    tmp_path: Path,
) -> None:
    async with killed_host(tmp_path) as (_, server):
        pass
    async with embedded(tmp_path) as (_, client):
        assert not is_running(server)
        assert await client.run(GET) == b"kept"


async def test_a_server_that_is_stopped_when_its_host_is_killed_is_ended_by_the_next_start(
    tmp_path: Path,
) -> None:
    async with killed_host(tmp_path) as (_, server):
        os.kill(server, signal.SIGSTOP)
    try:
        assert is_running(server)
        async with embedded(tmp_path) as (system, client):
            assert not is_running(server)
            assert server_of(system).ended == server
            assert await client.run(GET) == b"kept"
    finally:
        kill_left(Place.below(str(tmp_path)))


async def until_listening(place: Place) -> None:
    with trio.fail_after(30):
        while listener(place) is None:  # noqa: ASYNC110 -- nobody tells when it listens
            await trio.sleep(0.01)


async def test_a_server_that_was_left_running_is_ended_by_the_next_start(tmp_path: Path) -> None:
    place = Place.below(str(tmp_path))
    place.folder.mkdir(mode=0o700)
    left = await trio.lowlevel.open_process(command_line(find_program(), place))
    try:
        await until_listening(place)
        async with embedded(tmp_path) as (system, client):
            assert await left.wait() == 0
            assert server_of(system).ended == left.pid
            assert await client.run(SET) == b"OK"
    finally:
        left.kill()


async def test_a_server_that_was_left_and_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.actors.store.embedded.STOP", 0.05)
    place = Place.below(str(tmp_path))
    place.folder.mkdir(mode=0o700)
    program = f"""
import signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.socket(socket.AF_UNIX)
listening.bind({str(place.socket)!r})
listening.listen()
signal.pause()
"""
    left = await trio.lowlevel.open_process([sys.executable, "-c", program])
    try:
        await until_listening(place)
        async with embedded(tmp_path) as (_, client):
            assert await left.wait() == -signal.SIGKILL
            assert await client.run(SET) == b"OK"
    finally:
        left.kill()


async def test_a_server_that_cannot_be_reached_is_not_joined_by_another(tmp_path: Path) -> None:
    place = Place.below(str(tmp_path))
    place.folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stopped, socket.socket(socket.AF_UNIX) as waiting:
        stopped.bind(str(place.socket))
        stopped.listen(0)
        waiting.connect(str(place.socket))
        told = "a server that does not answer listens at .*: end it"
        with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=told)):
            async with embedded(tmp_path):
                raise AssertionError("started")


async def test_a_program_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.ops.store.find_program", lambda: str(tmp_path / "absent"))
    told = "exit code 1; .*absent: No such file or directory"
    with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=told)):
        async with embedded(tmp_path):
            raise AssertionError("started")


async def test_a_folder_that_cannot_be_used_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    told = r"the embedded store cannot use .* \[store\] url"
    with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match=told)):
        async with embedded(tmp_path):
            raise AssertionError("started")


def test_a_full_disk_is_told_with_what_to_do_and_holds_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = Place.below(str(tmp_path))
    with monkeypatch.context() as disk:
        disk.setattr("os.pwrite", full)
        with pytest.raises(StoreStartError, match=r"No space left on device; set \[server\]"):
            take(place)
    os.close(take(place))


async def test_a_log_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    Place.below(str(tmp_path)).log.mkdir(parents=True)
    with pytest.RaisesGroup(pytest.RaisesExc(StartFailed, match="Is a directory; set")):
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
