"""The store as a real master and its replica, found by a real sentinel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.store_networks import Watched, until, watched
from tests.real.store_servers import REDIS, valkey
from tests.real.test_store_cluster import until_passed_by, until_told
from tests.real.test_store_servers import GET, SET, connected, until_usable

from sluice.actors.store import StoreSettings, key

pytestmark = pytest.mark.real


@pytest.fixture
def program() -> str:
    return REDIS


@pytest.fixture
def servers(program: str, tmp_path: Path) -> Iterator[Watched]:
    with watched(program, tmp_path) as made:
        yield made


async def test_the_master_is_found_and_another_is_followed_when_it_dies(servers: Watched) -> None:
    async with connected(StoreSettings(servers.url)) as client:
        assert await client.run(SET) == b"OK"
        until(lambda: servers.replica.client.get(key("test")) == b"kept")
        servers.master.process.kill()
        await until_passed_by(client, GET)
        assert f"passed by: master main of sentinels {servers.sentinel}" in str(client.trouble())
        await until_usable(client)
        assert servers.role(servers.replica) == "master"
        assert await client.run(GET) == b"kept"
        await until_told(client, "")


@pytest.mark.parametrize("program", [pytest.param(valkey(), id="valkey")])
async def test_a_master_that_becomes_a_replica_is_left_for_the_new_one(servers: Watched) -> None:
    old, new = servers.master, servers.replica
    async with connected(StoreSettings(servers.url)) as client:
        until(lambda: servers.sentinel.run("SENTINEL", "FAILOVER", "main") == "OK")
        until(lambda: servers.role(new) == "master")
        old.run("REPLICAOF", "127.0.0.1", new.port)  # as the sentinel would, some ten seconds later
        await until_usable(client)
        assert await client.run(SET) == b"OK"
        assert new.client.get(key("test")) == b"kept"
        await until_told(client, "")
