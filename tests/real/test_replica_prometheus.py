"""A real Prometheus watches a replica of two workers, of which one is killed."""

from __future__ import annotations

import os
import signal

import pytest
import trio
from tests.real.conftest import StartPrometheus
from tests.real.serving import Start
from tests.real.test_prometheus import as_text, finds_every_metric, number
from tests.real.test_prometheus_service import COUNTING, becomes, value
from tests.real.test_replica_killed import Replica, eventually, replica
from tests.service.operators_world import SHORT

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

ASKED = 12
STARTS = 'sluice_actor_restarts_total{actor="worker"}'


async def test_prometheus_reads_two_workers_as_one_in_both_formats_also_when_one_is_killed(
    prometheus: StartPrometheus,
    start: Start,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    nursery: trio.Nursery,
) -> None:
    async with replica(start, simulator, monkeypatch, 2, 20) as at:
        await use(at, "before")
        url = f"http://127.0.0.1:{at.service.port}/metrics"
        jobs = {"openmetrics": url, "text": await as_text(url, nursery)}
        client = await prometheus(jobs)
        for job in jobs:
            await becomes(client, f'up{{job="{job}"}}', 1)
            await finds_every_metric(client, job)
            assert await number(client, requests(job)) == ASKED
        (killed, _) = at.workers()
        os.kill(killed, signal.SIGKILL)
        await becomes(client, f"min({STARTS})", 1)
        await use(at, "after")
        for job in jobs:
            await becomes(client, requests(job), 2 * ASKED)
        for name in COUNTING:
            assert (name, await value(client, f"sum(resets({name}[1m]))")) == (name, 0)
        await promtool_has_nothing_to_say(at)
        nursery.cancel_scope.cancel()


def requests(job: str) -> str:
    return f'sum(sse_requests_total{{job="{job}",status="success"}})'


async def use(at: Replica, when: str) -> None:
    """So many streams, counted."""
    before = len(at.answers)
    async with trio.open_nursery() as nursery:
        for each in range(ASKED):
            nursery.start_soon(at.ask, SHORT, f"{when} {each}")
    assert len(at.answers) == before + ASKED
    assert all(answer.complete for answer in at.answers.values())

    async def is_counted() -> bool:
        samples = await at.samples()
        counted = [v for (name, _), v in samples.items() if name == "sse_requests_total"]
        return sum(counted) == len(at.answers)

    await eventually(is_counted)


async def promtool_has_nothing_to_say(at: Replica) -> None:
    exposition = (await at.service.get("/metrics")).body
    checked = await trio.run_process(
        ["promtool", "check", "metrics"],
        stdin=exposition,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
