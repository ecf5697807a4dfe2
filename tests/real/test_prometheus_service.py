"""A real Prometheus watches a service that streams, while an operator restarts its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import trio
from tests.http.edge_world import Answer
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    World,
    is_whole,
    open_world,
    text_of,
    until,
)

from sluice.actors.metrics.catalog import ALL

pytestmark = pytest.mark.real

StartPrometheus = Callable[[dict[str, str]], Awaitable[httpx2.AsyncClient]]
STREAMS = 64
COUNTING = [
    metric.name if metric.kind == "counter" else f"{metric.name}_count"
    for metric in ALL.values()
    if metric.kind != "gauge"
]
"""Samples that only grow."""


async def value(client: httpx2.AsyncClient, expression: str) -> float | None:
    """What ``expression`` is now; None if it is nothing yet."""
    answer = await client.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, answer.text
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    assert len(result) <= 1
    return float(result[0]["value"][1]) if result else None


async def becomes(client: httpx2.AsyncClient, expression: str, wanted: float) -> None:
    """Return as soon as ``expression`` is at least ``wanted``."""
    with trio.fail_after(PATIENCE):
        while True:
            now = await value(client, expression)
            if now is not None and now >= wanted:
                return
            await trio.sleep(0.1)


async def test_counters_never_go_back_and_gauges_are_right_while_the_metrics_restart(
    prometheus: StartPrometheus,
) -> None:
    async with open_world(limit=STREAMS) as world, trio.open_nursery() as nursery:
        answers: dict[str, Answer] = {}
        for number in range(STREAMS):
            nursery.start_soon(ask, world, answers, f"held {number}")
        await world.simulator.wait(lambda now: now.held == STREAMS)
        client = await prometheus({"sluice": f"http://127.0.0.1:{world.port}/metrics"})
        await becomes(client, "count_over_time(up[1m])", 3)
        assert await value(client, "sse_active_connections / sse_connection_limit") == 1
        crashes = world.system.statistics().crashes
        for _ in range(3):
            await world.system.restart("metrics")
        assert world.system.statistics().crashes == crashes
        assert not answers
        world.simulator.release()
        await until(lambda: len(answers) == STREAMS)
        for prompt, answer in answers.items():
            assert is_whole(answer, text_of(HELD, prompt, 20))
        await becomes(client, 'sum(sse_requests_total{status="success"})', STREAMS)
        assert await value(client, "sse_active_connections") == 0
        for name in COUNTING:
            assert (name, await value(client, f"sum(resets({name}[1m]))")) == (name, 0)
        assert await value(client, "max(max_over_time(sse_active_connections[1m]))") == STREAMS


async def ask(world: World, answers: dict[str, Answer], prompt: str) -> None:
    answers[prompt] = await world.ask(HELD, prompt)
