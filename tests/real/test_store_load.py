"""The client under load, while a real store is stopped, goes on, is killed and replaced."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio
from tests.real.store_servers import REDIS, free_port, open_server, valkey
from tests.real.test_store_servers import BUDGET, GET, SET, connected

from sluice.actors.store import Change, StoreClient, StoreSettings, StoreUnavailable

pytestmark = pytest.mark.real

TASKS = 64
BEAT = 0.001


class Load:
    """Tasks that ask as fast as they are answered, and once in a while when they are not."""

    def __init__(self, client: StoreClient) -> None:
        self.client = client
        self.answered = 0
        self.unavailable = 0
        self.longest = 0.0
        """Seconds that an operation took."""
        self.late = 0.0
        """Seconds that this process itself was late: no operation can be quicker than that."""

    async def ask_on(self) -> None:
        """What is raised beside `StoreUnavailable` ends the test."""
        while True:
            began = trio.current_time()
            try:
                await self.client.run_many([SET, GET])
            except StoreUnavailable:
                self.unavailable += 1
                await trio.sleep(BEAT)
            else:
                self.answered += 1
            self.longest = max(self.longest, trio.current_time() - began)

    async def beat(self) -> None:
        while True:
            due = trio.current_time() + BEAT
            await trio.sleep_until(due)
            self.late = max(self.late, trio.current_time() - due)

    async def until_passed_by(self) -> None:
        """Return when operations fail, many of them."""
        unavailable = self.unavailable
        with trio.fail_after(30):
            while self.unavailable < unavailable + 5 * TASKS:  # noqa: ASYNC110 -- told by a count
                await trio.sleep(BEAT)
            assert self.client.trouble() is not None

    async def until_used(self) -> None:
        """Return when operations are answered, many of them."""
        answered = self.answered
        with trio.fail_after(30):
            while self.answered < answered + 5 * TASKS:  # noqa: ASYNC110 -- told by a count
                await trio.sleep(BEAT)


@pytest.mark.parametrize("program", [pytest.param(valkey(), id="valkey"), REDIS])
async def test_under_load_no_fault_costs_an_operation_more_than_its_patience_or_counts_twice(
    program: str, tmp_path: Path
) -> None:
    port = free_port()
    changes: list[Change] = []
    async with (
        open_server(program, tmp_path / "one", port=port) as server,
        connected(StoreSettings(server.url), changes.append) as client,
        trio.open_nursery() as nursery,
    ):
        load = Load(client)
        nursery.start_soon(load.beat)
        for _ in range(TASKS):
            nursery.start_soon(load.ask_on)
        await load.until_used()
        os.kill(server.process.pid, signal.SIGSTOP)
        await load.until_passed_by()
        os.kill(server.process.pid, signal.SIGCONT)
        await load.until_used()
        server.process.kill()
        await load.until_passed_by()
        async with open_server(program, tmp_path / "two", port=port):
            await load.until_used()
            nursery.cancel_scope.cancel()
    # Late twice: when its time was over, and when it was told.
    assert load.longest <= BUDGET + 2 * load.late + 10 * BEAT
    told = [change for change in changes if change.state == "passed_by"]
    assert client.counts.faults == len(told)
    assert 2 <= len(told) < client.counts.lost
