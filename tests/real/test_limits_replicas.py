"""Limits over two replicas of two workers each, which share a store."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.conftest import DATA_DIR
from tests.http.edge_world import Answer, RawClient
from tests.leaks import nothing_left_at
from tests.real.serving import COMMAND, Operated, change, killed, started
from tests.real.store_servers import Server, open_server, valkey
from tests.service.operators_world import Samples, samples_of, total
from tests.service.world import chat

from sluice.ops.control.client import open_client
from sluice.ops.control.place import Place
from sluice.ops.control.protocol import Command, Refused, Restart, SetLimit, Status
from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

LIMIT, WINDOW = 2, 1.0
GREEDY, MODEST = 10, 3
"""Clients that ask ten times what they may, and such as stay below it."""
SECONDS = 3.0
"""That they ask."""
STAYS_BELOW = WINDOW / LIMIT * 1.4
"""Seconds between two requests of a modest client at the least."""

EXCEEDED = "sse_rate_limit_exceeded_total"

CONFIG = """
[server]
bind = "127.0.0.1:0"
workers = 2
drain = 1

[store]
url = "{store}"
timeout = 1

[limits]
ip = "off"
token = "{limit}/second"

[providers.simulator]
base_url = "{base_url}"
api_key = "env:PROVIDER_KEY"

[models."sim-*"]
provider = "simulator"
"""
NAMES = [f"greedy-{n}" for n in range(GREEDY)] + [f"modest-{n}" for n in range(MODEST)]
TOKENS = "".join(
    f'[auth.tokens.{name}]\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
    for name in NAMES
)


class Asked(msgspec.Struct):
    """One request: it was decided about between ``sent`` and ``answered``."""

    sent: float
    answered: float
    status: int


async def start_replica(
    running: AsyncExitStack, folder: Path, store: Server, simulator: Simulator
) -> Operated:
    folder.mkdir()  # noqa: ASYNC240 -- one call, in a test
    config, log = folder / "sluice.toml", folder / "log"
    text = CONFIG.format(store=store.url, limit=LIMIT, base_url=simulator.base_url)
    config.write_text(text + TOKENS)
    command = (COMMAND, "serve", "--config", str(config))
    service = await started(log, *command, **{DATA_DIR: str(folder)})
    running.push_async_callback(killed, service.process)
    operated = Operated(service, config)
    operated.environment[DATA_DIR] = str(folder)
    return operated


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Server]:
    async with open_server(valkey(), tmp_path / "store") as server:
        yield server


@pytest.fixture
async def replicas(
    tmp_path: Path, store: Server, simulator: Simulator
) -> AsyncIterator[list[Operated]]:
    """Two, each of two workers."""
    async with AsyncExitStack() as running:
        made = [
            await start_replica(running, tmp_path / name, store, simulator)
            for name in ("one", "two")
        ]
        for each in made:
            await each.service.serves()
            running.push_async_callback(nothing_left_at, each.service.process, each.service.port)
        yield made


def as_client(name: str) -> bytes:
    data = chat("sim-ok?chunks=1", keep=True, stream=False)
    return data.replace(b"Host:", b"x-api-key: %b\r\nHost:" % name.encode(), 1)


async def ask(client: RawClient, name: str) -> tuple[Asked, Answer]:
    sent = trio.current_time()
    answer = await client.request(as_client(name))
    return Asked(sent, trio.current_time(), answer.status), answer


async def connected(replica: Operated) -> RawClient:
    return RawClient(await trio.open_tcp_stream("127.0.0.1", replica.service.port))


async def ask_greedily(replica: Operated, name: str, every: float, seen: list[Asked]) -> None:
    """One of a client's connections: asks as often as that, or as soon as it is answered."""
    client = await connected(replica)
    end = trio.current_time() + SECONDS
    while trio.current_time() < end:
        due = trio.current_time() + every
        seen.append((await ask(client, name))[0])
        await trio.sleep_until(due)
    await client.leave()


async def ask_modestly(replicas: list[Operated], name: str, seen: list[Asked]) -> None:
    """Asks all replicas in turn, and counts its own from each answer to the next question."""
    clients = [await connected(each) for each in replicas]
    end = trio.current_time() + SECONDS
    while trio.current_time() < end:
        seen.append((await ask(clients[len(seen) % len(clients)], name))[0])
        await trio.sleep(STAYS_BELOW)
    for each in clients:
        await each.leave()


def most_in_a_window(accepted: list[Asked]) -> int:
    """The most that were surely accepted within one window: sent and answered within it."""
    return max(
        sum(first.sent <= each.sent and each.answered < first.sent + WINDOW for each in accepted)
        for first in accepted
    )


def may_be_refused(asked: Asked, accepted: list[Asked]) -> bool:
    """Whether so many may have been accepted in the window before ``asked`` was decided about."""
    since = asked.sent - WINDOW
    return sum(each.answered > since and each.sent < asked.answered for each in accepted) >= LIMIT


async def test_limits_hold_over_replicas_and_workers_and_change_live_in_all_of_them(
    replicas: list[Operated], store: Server
) -> None:
    await clients_at_ten_times_their_limit_get_it_and_no_more_and_others_all_they_ask(replicas)
    await operators_and_reloaded_configurations_change_limits_in_all_workers(replicas)
    await without_the_store_each_worker_limits_by_its_share(replicas[0], store)


async def clients_at_ten_times_their_limit_get_it_and_no_more_and_others_all_they_ask(
    replicas: list[Operated],
) -> None:
    seen: dict[str, list[Asked]] = {name: [] for name in NAMES}
    async with trio.open_nursery() as nursery:
        for name in NAMES:
            if name.startswith("modest"):
                nursery.start_soon(ask_modestly, replicas, name, seen[name])
                continue
            for replica in replicas * 2:
                every = 4 * WINDOW / (10 * LIMIT)
                nursery.start_soon(ask_greedily, replica, name, every, seen[name])
    for name in NAMES:
        accepted = [each for each in seen[name] if each.status == 200]
        refused = [each for each in seen[name] if each.status == 429]
        assert len(accepted) + len(refused) == len(seen[name])
        assert most_in_a_window(accepted) <= LIMIT + 1
        assert all(may_be_refused(each, accepted) for each in refused)
        assert not refused or name.startswith("greedy")
    counted = [await samples(replica) for replica in replicas]
    for kind in ("ip", "user"):
        assert not any(total(each, EXCEEDED, user_type=kind) for each in counted)
    refused = [each for name in NAMES for each in seen[name] if each.status == 429]
    assert refused
    assert sum(total(each, EXCEEDED, user_type="token") for each in counted) == len(refused)
    assert not any(
        total(each, "sse_errors_total", error_type="validation_error") for each in counted
    )


async def samples(replica: Operated) -> Samples:
    answer = await replica.service.get("/metrics")
    return samples_of(answer)


async def statuses(replica: Operated, name: str, times: int) -> list[int]:
    """What becomes of so many requests, each on a connection of its own."""
    found = []
    for _ in range(times):
        client = await connected(replica)
        found.append((await ask(client, name))[0].status)
        await client.leave()
    return found


async def operators_and_reloaded_configurations_change_limits_in_all_workers(
    replicas: list[Operated],
) -> None:
    (replica, other) = replicas
    changed = await replica.done("limit", "token", "3")
    assert changed == (
        "limits: ip off, user 1000/hour, token 3/hour"
        " (it was ip off, user 1000/hour, token 2/second)\n"
    )
    assert await statuses(replica, "greedy-0", 8) == [200] * 3 + [429] * 5
    # Whoever starts later has it, too; what was asked counts on.
    await say(replica, Restart, path="workers")
    assert await statuses(replica, "greedy-0", 4) == [429] * 4
    assert (await say(replica, Status)).limits["token"] == "3/hour"
    with pytest.raises(Refused, match='"often" is not a rate'):
        await say(replica, SetLimit, kind="token", rate="often")
    # Another key of the configuration changes: the operator's word holds.
    change(replica, ('ip = "off"', 'ip = "9/minute"'))
    taken = await replica.service.told("configuration taken")
    assert (taken["live"], taken["workers"]) == (["limits.ip"], [])
    limits = (await say(replica, SetLimit)).limits
    assert limits == {"ip": "9/minute", "user": "1000/hour", "token": "3/hour"}
    # The key itself changes: the configuration holds.
    change(replica, ('token = "2/second"', 'token = "5/hour"'))
    await replica.service.told("configuration taken", 2)
    assert await statuses(replica, "greedy-0", 3) == [200] * 2 + [429]
    await say(replica, SetLimit, kind="token", rate="off")
    assert await statuses(replica, "greedy-0", 1) == [200]
    again = await say(replica, SetLimit, kind="token", rate="configured")
    assert again.limits["token"] == "5/hour"
    assert (await say(other, SetLimit)).limits["token"] == "2/second"


async def say(replica: Operated, command: type[Command], **fields: object) -> Any:
    """What ``replica`` answers to an operator's command."""
    place = Place(f"unix:{replica.config.parent}/control.sock")
    async with open_client(place) as client:
        return await client.ask(command, **fields)


async def without_the_store_each_worker_limits_by_its_share(
    replica: Operated, store: Server
) -> None:
    await say(replica, SetLimit, kind="token", rate="4/hour")
    local = total(await samples(replica), "sse_rate_limit_local_total")
    store.process.kill()
    await store.process.wait()
    got = await statuses(replica, "greedy-1", 20)
    assert got.count(200) in range(2, 5)  # two a worker that had one of the connections
    assert set(got) == {200, 429}
    assert got[-1] == 429
    before, now = local, total(await samples(replica), "sse_rate_limit_local_total")
    assert now - before == 20
