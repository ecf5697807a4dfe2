"""The client against a real Valkey and a real Redis that are killed, stopped, full or odd."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from tests.real.store_servers import REDIS, Server, free_port, open_server, tls_options, valkey

from sluice.actors.settings import Secret
from sluice.actors.store import (
    Change,
    Gap,
    Op,
    Published,
    Script,
    StoreClient,
    StoreRefused,
    StoreSettings,
    StoreUnavailable,
    command,
    key,
    open_client,
)

pytestmark = pytest.mark.real

SET = command("SET", key("test"), "kept")
GET = command("GET", key("test"))
BUDGET = 0.05
SLACK = 0.15
"""For a machine on which other tests run."""


@pytest.fixture(params=["valkey", "redis"])
def program(request: pytest.FixtureRequest) -> str:
    return valkey() if request.param == "valkey" else REDIS


@asynccontextmanager
async def connected(
    settings: StoreSettings, on_change: Callable[[Change], None] = lambda _: None
) -> AsyncIterator[StoreClient]:
    client = open_client(settings, on_change)
    connecting = client.serve
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connecting)
        assert await client.usable(20), client.trouble()
        yield client
        nursery.cancel_scope.cancel()


async def until_usable(client: StoreClient, op: Op = SET) -> None:
    with trio.fail_after(30):
        while True:
            try:
                await client.run(op)
            except StoreUnavailable:
                await trio.sleep(0.01)
            else:
                return


async def passed_by(client: StoreClient) -> float:
    """The longest that one of many requests took until the store was passed by."""
    longest = 0.0
    for _ in range(200):
        began = trio.current_time()
        try:
            await client.run(SET)
        except StoreUnavailable:
            longest = max(longest, trio.current_time() - began)
    return longest


async def test_commands_and_scripts_work(program: str, tmp_path: Path) -> None:
    twice = Script("return {ARGV[1] * 2, redis.call('GET', KEYS[1])}")
    async with (
        open_server(program, tmp_path) as server,
        connected(StoreSettings(server.url)) as client,
    ):
        assert await client.run_many([SET, GET]) == [b"OK", b"kept"]
        assert await client.run(twice.on([key("test")], 21)) == [42, b"kept"]
        await client.run(command("SCRIPT", "FLUSH"))
        assert await client.run(twice.on([key("test")], 1)) == [2, b"kept"]
        with pytest.raises(StoreRefused, match="WRONGTYPE"):
            await client.run(command("LPUSH", key("test"), "x"))
        assert client.trouble() is None


async def test_a_stopped_store_costs_50_ms_once_and_is_used_again_when_it_goes_on(
    program: str, tmp_path: Path
) -> None:
    async with (
        open_server(program, tmp_path) as server,
        connected(StoreSettings(server.url)) as client,
    ):
        os.kill(server.process.pid, signal.SIGSTOP)
        began = trio.current_time()
        longest = await passed_by(client)
        assert longest <= BUDGET + SLACK
        assert trio.current_time() - began <= BUDGET + 2 * SLACK
        assert client.trouble() is not None
        os.kill(server.process.pid, signal.SIGCONT)
        await until_usable(client)
        assert client.trouble() is None


async def test_a_killed_store_costs_nothing_and_is_used_again_when_another_is_there(
    program: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        open_server(program, tmp_path / "one", port=port) as server,
        connected(StoreSettings(server.url)) as client,
    ):
        server.process.kill()
        await server.process.wait()
        assert await passed_by(client) <= BUDGET + SLACK
        async with open_server(program, tmp_path / "two", port=port):
            await until_usable(client)


async def test_a_full_store_refuses_writes_and_answers_reads(program: str, tmp_path: Path) -> None:
    async with (
        open_server(program, tmp_path, "--maxmemory-policy", "noeviction") as server,
        connected(StoreSettings(server.url)) as client,
    ):
        await client.run(SET)
        await client.run(command("CONFIG", "SET", "maxmemory", "1", key=""))
        with pytest.raises(StoreRefused, match="OOM"):
            await client.run(SET)
        assert await client.run(GET) == b"kept"


async def test_a_replica_and_a_node_of_a_cluster_are_no_single_store(tmp_path: Path) -> None:
    async with (
        open_server(REDIS, tmp_path / "one") as server,
        connected(StoreSettings(server.url)) as client,
    ):
        await client.run(command("REPLICAOF", "127.0.0.1", str(free_port()), key=""))
        with pytest.raises(StoreUnavailable):
            await client.run(SET)
        assert "READONLY" in str(client.trouble())
        await in_thread(lambda: redis_of(server)("REPLICAOF", "NO", "ONE"))
        await until_usable(client)


ABSENT = [
    ("redis://{gone}", "no connection to {gone}: "),
    ("rediss://{gone}", "no connection to {gone}: "),
    ("unix:///{gone}", "no connection to unix:/{gone}: "),
    ("redis+cluster://{gone}", "no connection to {gone}: "),
    ("redis+sentinel://{gone}/main", "no master main of sentinels {gone}: "),
    ("redis+cluster://{alone}", "{alone} answered ERR This instance has cluster support disabled"),
    ("redis+sentinel://{alone}/main", "no master main of sentinels {alone}: "),
    ("redis://{strange}", "the store answered what is no Redis protocol"),
    ("rediss://{strange}", "no connection to {strange}: "),
    ("redis+cluster://{strange}", "the store answered what is no Redis protocol"),
    ("redis+sentinel://{strange}/main", "no master main of sentinels {strange}: "),
]
"""Whatever stands at the address, the client goes on looking, and tells why."""


async def answer_strangely(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def test_a_store_that_is_not_there_or_is_none_is_told_and_ends_nothing(
    tmp_path: Path,
) -> None:
    async with open_server(REDIS, tmp_path) as server, trio.open_nursery() as nursery:
        (strange,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer_strangely, [strange])
        at = {
            "gone": f"127.0.0.1:{free_port()}",
            "alone": f"127.0.0.1:{server.port}",
            "strange": f"127.0.0.1:{strange.socket.getsockname()[1]}",
        }
        async with trio.open_nursery() as looking:
            for url, told in ABSENT:
                client = open_client(StoreSettings(url.format(**at)))
                connecting = client.serve
                nursery.start_soon(connecting)
                looking.start_soon(until_told, client, told.format(**at))
        nursery.cancel_scope.cancel()


async def until_told(client: StoreClient, why: str) -> None:
    """Return when the client is passed by for this reason, and says so."""
    with trio.fail_after(30):
        while client.statistics().servers[0].state != "passed_by":  # noqa: ASYNC110 -- a state
            await trio.sleep(0.01)
    assert why in str(client.trouble())


async def test_a_password_and_a_user_are_told_and_never_shown(tmp_path: Path) -> None:
    async with open_server(REDIS, tmp_path, "--requirepass", "hunter2") as server:
        settings = StoreSettings(server.url, username="default", password=Secret("hunter2"))
        async with connected(settings) as client:
            assert await client.run(SET) == b"OK"
        wrong = open_client(StoreSettings(server.url, password=Secret("hunter3")))
        connecting = wrong.serve
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connecting)
            assert not await wrong.usable(1)
            assert "WRONGPASS" in str(wrong.trouble())
            assert "hunter3" not in str(wrong.trouble())
            nursery.cancel_scope.cancel()


async def test_tls_is_verified(tmp_path: Path) -> None:
    port = free_port()
    async with open_server(REDIS, tmp_path / "data", *tls_options(tmp_path, port)):
        url = f"rediss://localhost:{port}"
        async with connected(StoreSettings(url, ca_file=str(tmp_path / "ca.pem"))) as client:
            assert await client.run(SET) == b"OK"
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "stranger.pem"))
        wrong = open_client(StoreSettings(url, ca_file=str(tmp_path / "stranger.pem")))
        connecting = wrong.serve
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connecting)
            assert not await wrong.usable(1)
            assert "CERTIFICATE_VERIFY_FAILED" in str(wrong.trouble())
            nursery.cancel_scope.cancel()


async def test_a_blocking_read_waits_on_a_connection_of_its_own(tmp_path: Path) -> None:
    pop = command("BLPOP", key("list"), 5)
    async with (
        open_server(valkey(), tmp_path) as server,
        connected(StoreSettings(server.url)) as client,
        client.open_blocking(pop) as blocking,
        trio.open_nursery() as nursery,
    ):

        async def push() -> None:
            assert await client.run(command("RPUSH", key("list"), "x")) == 1

        nursery.start_soon(push)
        assert await blocking.run(pop, 5) == [key("list").encode(), b"x"]
        await client.run(command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", key=""))
        with pytest.raises(StoreUnavailable):
            await blocking.run(pop, 5)
        assert await blocking.run(command("PING"), 1) == b"PONG"


async def test_a_subscription_tells_of_a_gap_after_a_loss_and_of_too_much(tmp_path: Path) -> None:
    async with (
        open_server(valkey(), tmp_path) as server,
        connected(StoreSettings(server.url)) as client,
        client.subscribe("news", buffer=3) as news,
    ):
        with trio.fail_after(30):
            await news.ready()
            await client.run(command("PUBLISH", "news", "one"))
            assert await anext(news) == Published("news", b"one")
            await client.run(command("CLIENT", "KILL", "TYPE", "pubsub", key=""))
            assert isinstance(await anext(news), Gap)
            await news.ready()
            for number in range(10):
                await client.run(command("PUBLISH", "news", str(number)))
            await client.run(GET)
            found = [await anext(news)]
            while found[-1] != Published("news", b"9"):
                found.append(await anext(news))
    assert len(found) <= 10


def redis_of(server: Server) -> Callable[..., object]:
    """Another client than ours; it takes a command."""
    function: Callable[..., object] = server.redis().execute_command
    return function


async def in_thread(function: Callable[[], object]) -> object:
    with trio.fail_after(30):
        return await trio.to_thread.run_sync(function)
