"""The store as a real cluster of three masters, and a replica of one of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import trio
from redis.crc import key_slot
from tests.real.store_networks import ClusterOfNodes, cluster, until
from tests.real.store_servers import REDIS, valkey
from tests.real.test_store_servers import connected, until_usable

from sluice.actors.store import (
    Op,
    Script,
    StoreClient,
    StoreSettings,
    StoreUnavailable,
    command,
    key,
)

# One process has the servers of all its tests, where several share the tests.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("cluster")]

ECHO = Script("return {KEYS[1], redis.call('GET', KEYS[1])}")


@pytest.fixture(scope="module", params=["valkey", "redis"])
def nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterOfNodes]:
    """One cluster for all: each test leaves it whole."""
    program = valkey() if request.param == "valkey" else REDIS
    with cluster(program, tmp_path_factory.mktemp("cluster")) as made:
        yield made


async def until_passed_by(client: StoreClient, op: Op) -> None:
    """Return when ``op`` is not answered."""
    with trio.fail_after(30):
        while True:
            try:
                await client.run(op)
            except StoreUnavailable:
                return


async def until_told(client: StoreClient, what: str) -> None:
    """Return when the client says of the store what begins with ``what``; empty: it is well."""
    with trio.fail_after(30):
        while not _is(client.trouble(), what):  # noqa: ASYNC110 -- nobody else asks
            await trio.sleep(0.01)


def _is(trouble: str | None, what: str) -> bool:
    return not what if trouble is None else bool(what) and trouble.startswith(what)


async def test_each_operation_goes_to_the_node_of_its_key(nodes: ClusterOfNodes) -> None:
    keys = [nodes.key_of(master) for master in nodes.masters]
    async with connected(StoreSettings(nodes.url)) as client:
        await client.run_many([command("SET", each, each) for each in keys])
        found = await client.run_many([command("GET", each) for each in keys])
        assert found == [each.encode() for each in keys]
        for each in keys:
            assert await client.run(ECHO.on([each])) == [each.encode()] * 2
        together = [key("queue", part, together="overflow") for part in ("head", "tail")]
        await client.run(command("MSET", together[0], 1, together[1], 2))
        servers = client.statistics().servers
        assert {each.server for each in servers} == set(map(str, nodes.masters))
        assert client.trouble() is None
    for master, each in zip(nodes.masters, keys, strict=True):
        assert master.client.get(each) == each.encode()


async def test_a_key_that_was_moved_is_found_where_it_is_now(nodes: ClusterOfNodes) -> None:
    _, giver, taker = nodes.masters
    moved = nodes.key_of(giver)
    slot = key_slot(moved.encode())
    async with connected(StoreSettings(nodes.url)) as client:
        giver.client.delete(moved)
        nodes.give(slot, taker)
        try:
            assert await client.run(command("SET", moved, "there")) == b"OK"
            assert taker.client.get(moved) == b"there"
            assert await client.run(command("GET", moved)) == b"there"
            assert client.counts.faults == 0
        finally:
            taker.client.delete(moved)
            nodes.give(slot, giver)


async def test_a_key_that_is_being_moved_is_asked_for_at_both_nodes(nodes: ClusterOfNodes) -> None:
    _, giver, taker = nodes.masters
    kept = nodes.key_of(giver)
    slot = key_slot(kept.encode())
    giver.client.delete(kept)
    async with connected(StoreSettings(nodes.url)) as client:
        taker.run("CLUSTER", "SETSLOT", slot, "IMPORTING", nodes.ids[giver.port])
        giver.run("CLUSTER", "SETSLOT", slot, "MIGRATING", nodes.ids[taker.port])
        try:
            assert await client.run(command("SET", kept, "new")) == b"OK"
            assert await client.run(command("GET", kept)) == b"new"
            assert giver.run("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
            assert taker.run("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        finally:
            nodes.give(slot, taker)
            taker.client.delete(kept)
            nodes.give(slot, giver)


async def test_a_node_that_is_stopped_is_passed_by_and_the_others_go_on(
    nodes: ClusterOfNodes,
) -> None:
    *others, stopped = nodes.masters
    async with connected(StoreSettings(nodes.url)) as client:
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            await until_passed_by(client, command("GET", nodes.key_of(stopped)))
            assert f"passed by: {stopped}: " in str(client.trouble())
            for other in others:
                assert await client.run(command("SET", nodes.key_of(other), "on")) == b"OK"
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        await until_usable(client, command("SET", nodes.key_of(stopped), "again"))
        await until_told(client, "")


async def test_a_node_that_is_full_is_told_of_and_the_others_take_writes(
    nodes: ClusterOfNodes,
) -> None:
    *others, full = nodes.masters
    async with connected(StoreSettings(nodes.url)) as client:
        full.run("CONFIG", "SET", "maxmemory", 1)
        try:
            await until_told(client, f"full and takes no writes: {full}: OOM ")
            for other in others:
                assert await client.run(command("SET", nodes.key_of(other), "on")) == b"OK"
        finally:
            full.run("CONFIG", "SET", "maxmemory", 0)
        await until_told(client, "")


async def test_the_replica_of_a_killed_node_is_used_when_it_takes_over(
    nodes: ClusterOfNodes,
) -> None:
    """The last one: the first node is gone afterwards, and the replica in its place."""
    killed, *others = nodes.masters
    lost = command("GET", nodes.key_of(killed))
    async with connected(StoreSettings(nodes.url)) as client:
        await client.run(command("SET", nodes.key_of(killed), "kept"))
        until(lambda: nodes.replica.client.dbsize() == killed.client.dbsize())
        killed.process.kill()
        await until_passed_by(client, lost)
        for other in others:
            assert await client.run(command("SET", nodes.key_of(other), "on")) == b"OK"
        nodes.replica.run("CLUSTER", "FAILOVER", "TAKEOVER")
        await until_usable(client, lost)
        assert await client.run(lost) == b"kept"
        await until_told(client, "")
        servers = {each.server for each in client.statistics().servers}
        assert servers == set(map(str, [nodes.replica, *others]))
