"""What the running service exposes, after traffic: the catalog, and no stream waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
import trio
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.actors.metrics.test_catalog import SEED
from tests.http.edge_world import Answer
from tests.service.operators_world import (
    SHORT,
    World,
    is_whole,
    open_world,
    request,
    text_of,
    until,
)

from sluice.actors.metrics.catalog import ALL

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PACED = "sim-ok?chunks=60&delay=0.02&hold=59"
"""Its last piece waits for `Simulator.release`."""
STREAMS = 64

Parse = Callable[[str], Iterable[Metric]]
formats = pytest.mark.parametrize(
    ("accept", "parse"), [("text/plain", parse_text), (OPENMETRICS, parse_openmetrics)]
)


class Found(msgspec.Struct):
    """A metric as a scraper sees it."""

    kind: str
    labels: set[str]
    buckets: list[float]


async def traffic(world: World) -> None:
    """One request of each kind: streamed, whole, failed, not valid, unknown, not a route."""
    assert is_whole(await world.ask(SHORT, "one"), text_of(SHORT, "one", 4))
    assert (await world.ask(SHORT, "two", streamed=False)).status == 200
    assert (await world.ask("sim-503", "three")).status == 503
    assert (await world.ask("secret-model", "four")).status == 404
    assert (await world.get("/nowhere")).status == 404
    client = await world.connect()
    bad = request(SHORT, "five").replace(b"[", b"{", 1)
    assert (await client.request(bad)).status == 400
    await client.leave()
    await world.idle()


def found_in(families: Iterable[Metric]) -> dict[str, Found]:
    """By full name, a counter's with its ``_total``."""
    found = {}
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for each in family.samples for label in each.labels}
        buckets = {each.labels["le"] for each in family.samples if "le" in each.labels}
        found[name] = Found(family.type, labels - {"le"}, sorted(map(float, buckets)))
    return found


@formats
async def test_every_metric_of_the_seed_is_there_as_the_seed_has_it(
    accept: str, parse: Parse
) -> None:
    async with open_world() as world:
        await traffic(world)
        answer = await world.get("/metrics", accept)
    found = found_in(parse(answer.body.decode()))
    assert found.keys() == ALL.keys()
    for _, name, kind, labels, buckets in SEED:
        bounds = [*buckets, float("inf")] if buckets else []
        assert (name, found[name]) == (name, Found(kind.lower(), set(labels), bounds))
    assert b"_created" not in answer.body
    assert b"secret-model" not in answer.body
    assert (b"# EOF" in answer.body) == (accept == OPENMETRICS)


async def test_both_formats_tell_the_same_numbers() -> None:
    async with open_world() as world:
        await traffic(world)
        text = await world.get("/metrics", "text/plain")
        openmetrics = await world.get("/metrics", OPENMETRICS)
    assert settled(parse_text, text) == settled(parse_openmetrics, openmetrics)


def settled(parse: Parse, answer: Answer) -> dict[Any, float]:
    """Samples that only traffic moves."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(answer.body.decode())
        for sample in family.samples
        if family.name.startswith("sse_")
    }


async def test_no_scrape_fails_because_the_metrics_are_restarted() -> None:
    async with open_world() as world:
        statuses: list[int] = []

        async def scrape() -> None:
            statuses.extend([(await world.get("/metrics")).status for _ in range(10)])

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(scrape)
            for _ in range(20):
                await world.system.restart("metrics")
        assert statuses == [200] * 50


async def test_a_scrape_holds_up_no_stream() -> None:
    """Between any two families of the exposition every stream had its turn."""
    async with open_world() as world, trio.open_nursery() as nursery:
        answers: dict[str, Answer] = {}

        async def ask(prompt: str) -> None:
            answers[prompt] = await world.ask(PACED, prompt)

        for number in range(STREAMS):
            nursery.start_soon(ask, f"paced {number}")
        await world.simulator.wait(lambda now: now.open == STREAMS)
        await until(lambda: delivered(world) >= STREAMS)
        turns = Turns()
        nursery.start_soon(turns.count)
        for _ in range(3):
            before = turns.taken
            assert (await world.get("/metrics")).status == 200
            assert turns.taken - before >= len(ALL)
        turns.over = True
        await world.simulator.wait(lambda now: now.held == STREAMS)
        assert not answers
        world.simulator.release()
        await until(lambda: len(answers) == STREAMS)
        for prompt, answer in answers.items():
            assert is_whole(answer, text_of(PACED, prompt, 60))


class Turns:
    """Counts how often the event loop came round."""

    def __init__(self) -> None:
        self.taken = 0
        self.over = False

    async def count(self) -> None:
        while not self.over:
            self.taken += 1
            await trio.lowlevel.checkpoint()


def delivered(world: World) -> int:
    """Chunks of all streams that live."""
    flows = [stream.flow for stream in world.worker.streams.live.values()]
    return sum(flow.chunks for flow in flows if flow is not None)
