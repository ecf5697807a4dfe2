"""A thousand short requests from 64 clients at once, a third of them to models that fail.

Every answer is whole or one error, the counters add up, and nothing is left behind.
"""

from __future__ import annotations

import gc
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import structlog
import trio
from tests.http.edge_world import Answer, RawClient
from tests.service.operators_world import (
    HELD,
    SHORT,
    Samples,
    World,
    failed,
    is_refused,
    is_whole,
    open_world,
    request,
    text_of,
    total,
    until,
)

from sluice.actors.providers.provider import Call
from sluice.actors.settings import Timeouts
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.stream import Stream
from sluice.actors.upstream import UpstreamConnection
from sluice.engine import ActorStatistics
from sluice.http.http1.connection import Connection
from sluice.http.http1.exchange import Exchange

CLIENTS = 64
REQUESTS = 1000
LIMIT = 56
"""Slots: fewer than clients."""
IMPATIENT = Timeouts(first_chunk=1.0, idle=1.0, total=1.5)
"""For models that say nothing (more)."""
MEGABYTE = 1024 * 1024

GOOD = {
    "sim-ok?chunks=1": 1,
    "sim-ok?chunks=4": 4,
    "sim-ok?chunks=30&write_each=1": 30,
    "sim-ok?chunks=3&chunk_size=1&delay=0.01": 3,
    "sim-crlf?chunks=5": 5,
    "sim-cr?chunks=5": 5,
    "sim-comments?chunks=5": 5,
    "sim-bom?chunks=5": 5,
    "sim-multiline?chunks=5": 5,
    "sim-ids?chunks=5": 5,
}
"""Models that answer, with the number of pieces of their answers."""

FAULTS = [
    *("sim-cut", "sim-cut-inside", "sim-cut-reset", "sim-garbage", "sim-error-in-stream"),
    *("sim-no-end", "sim-refuse", "sim-reset", "sim-401", "sim-404", "sim-429", "sim-500"),
    *("sim-500-once", "sim-503", "sim-html", "sim-redirect", "sim-context-length"),
    *("sim-content-policy", "sim-stall", "sim-silent"),
]
"""Models that do not, by every fault there is. Whole answers are as faulty as streams."""


class Asking(msgspec.Struct, frozen=True):
    """One request of the plan. ``way``: how it is asked."""

    way: str
    model: str
    prompt: str

    def data(self) -> bytes:
        """Its bytes."""
        if self.way == "get":
            query = urlencode({"model": self.model, "prompt": self.prompt})
            return f"GET /stream?{query} HTTP/1.1\r\nHost: sluice\r\n\r\n".encode()
        data = request(self.model, self.prompt, streamed=self.way != "whole", keep=True)
        return data.replace(b'"messages"', b'"massages"') if self.way == "invalid" else data


def plan(count: int, seed: int) -> Iterator[Asking]:
    """``count`` requests, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 -- to be repeatable is the point
    for number in range(count):
        prompt = f"{seed}.{number}"
        if chance.random() < 0.3:
            way, model = chance.choice(["stream", "stream", "whole"]), chance.choice(FAULTS)
        else:
            ways = ["stream", "stream", "stream", "whole", "get", "leave", "invalid"]
            way, model = chance.choice(ways), chance.choice(list(GOOD))
        yield Asking(way, model, prompt)


class Tally:
    """What the clients saw."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.wrong: list[tuple[Asking, Answer]] = []

    def add(self, asked: Asking, answer: Answer) -> None:
        word = judged(asked, answer)
        self.seen[word] += 1
        if word == "wrong":
            self.wrong.append((asked, answer))


def judged(asked: Asking, answer: Answer) -> str:
    """``whole``, ``refused``, ``invalid`` or ``error``, if that is what it should be."""
    if answer.status == 429 and is_refused(answer, 429, answer.code):
        return "refused" if answer.code == "no_capacity" else "error"
    if asked.way == "invalid":
        return "invalid" if answer.status == 400 and answer.complete else "wrong"
    if asked.model in GOOD:
        return "whole" if all_there(asked, answer) else "wrong"
    return "error" if one_error(answer) else "wrong"


def all_there(asked: Asking, answer: Answer) -> bool:
    """Whether it has all that the provider said to this request and no other."""
    text = text_of(asked.model, asked.prompt, GOOD[asked.model])
    if asked.way == "stream":
        return is_whole(answer, text)
    if not answer.complete or answer.status != 200:
        return False
    if asked.way == "whole":
        content: str = msgspec.json.decode(answer.body)["choices"][0]["message"]["content"]
        return content == text
    return b"".join(told(answer)).decode() == text and b"\nevent: done\n" in answer.body


def told(answer: Answer) -> Iterator[bytes]:
    """The texts of our own format's events."""
    for line in answer.body.split(b"\n"):
        if line.startswith(b'data: {"text":'):
            yield msgspec.json.decode(line[6:])["text"].encode()


def one_error(answer: Answer) -> bool:
    """Whether it is an error before the first byte, or a stream that ends with one."""
    if answer.status == 200:
        return failed(answer)
    return answer.complete and "error" in msgspec.json.decode(answer.body)


class Client:
    """Makes one request after another, on one connection for as long as it holds."""

    def __init__(self, world: World, tally: Tally) -> None:
        self._world = world
        self._tally = tally
        self._connection: RawClient | None = None

    async def run(self, asked: Iterator[Asking]) -> None:
        try:
            for asking in asked:
                await self._ask(asking)
        finally:
            self._leave()

    async def _ask(self, asking: Asking) -> None:
        if self._connection is None:
            self._connection = await self._world.connect()
        await self._connection.send(asking.data())
        if asking.way == "leave":
            self._tally.seen["left"] += 1
            if len(asking.model) % 2:
                self._tally.seen["reset"] += 1
                self._connection.reset_on_leaving()
            self._leave()
            return
        answer = await self._connection.answer()
        self._tally.add(asking, answer)
        if not answer.complete or answer.headers.get("connection") == "close":
            self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stream.socket.close()  # type: ignore[attr-defined]


async def run(world: World, asked: Iterable[Asking]) -> Tally:
    """Have all clients work through ``asked``; return when no trace of it moves any more."""
    tally, shared = Tally(), iter(asked)
    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(Client(world, tally).run, shared)
    await until(lambda: edge(world).domain.open == 0)
    await world.idle()
    return tally


def edge(world: World) -> ActorStatistics:
    found = world.system.inspect("edge")
    assert isinstance(found, ActorStatistics)
    return found


def left_over() -> Counter[str]:
    """Objects of requests that are over, and should be gone."""
    gc.collect()
    kinds = (Stream, Flow, Call, UpstreamConnection, Connection, Exchange)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


def descriptors() -> int:
    """Open now, of the service, its provider and its clients."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- names are enough


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def refused_at_the_limit(world: World) -> int:
    """Fill all slots, ask once more with every client, empty them again."""
    answers: list[Answer] = []

    async def ask(model: str, prompt: str) -> None:
        answers.append(await world.ask(model, prompt))

    async with trio.open_nursery() as nursery:
        for number in range(LIMIT):
            nursery.start_soon(ask, HELD, f"held {number}")
        await world.simulator.wait(lambda now: now.held == LIMIT)
        async with trio.open_nursery() as turned_away:
            for number in range(CLIENTS):
                turned_away.start_soon(ask, SHORT, f"too many {number}")
        assert all(is_refused(answer, 429, "no_capacity") for answer in answers)
        world.simulator.release()
    return len(answers)


def adds_up(samples: Samples, sent: int, arrived: int, tally: Tally) -> None:
    """Every request that arrived is counted once, as what its client saw."""
    seen = tally.seen
    success = total(samples, "sse_requests_total", status="success")
    timeout = total(samples, "sse_requests_total", status="timeout")
    failure = total(samples, "sse_requests_total", status="failure")
    refused = total(samples, "sse_errors_total", error_type="connection_pool_exhausted")
    invalid = total(samples, "sse_errors_total", error_type="validation_error")
    assert success + timeout + failure + refused + invalid == arrived
    assert 0 <= sent - arrived <= seen["reset"]  # a reset overtakes what was sent before it
    assert invalid == seen["invalid"]
    assert timeout + failure == seen["error"]
    # Who left did so with a slot, which is a success, or was refused one.
    assert success - seen["whole"] + refused - seen["refused"] == seen["left"] - (sent - arrived)
    assert total(samples, "sse_errors_total") == refused + invalid + timeout + failure
    assert total(samples, "sse_active_connections") == 0


async def test_every_answer_is_whole_or_one_error_and_nothing_is_left_of_any() -> None:
    with structlog.testing.capture_logs() as log:
        async with open_world(
            limit=LIMIT, models={"sim-stall*": IMPATIENT, "sim-silent*": IMPATIENT}
        ) as world:
            start = descriptors()
            tally = await run(world, plan(200, seed=1))
            warm = resident()
            more = await run(world, plan(REQUESTS, seed=2))
            tally.seen += more.seen
            assert tally.wrong + more.wrong == []
            assert all(tally.seen[word] > 50 for word in ("whole", "error", "invalid", "left"))

            answers = await refused_at_the_limit(world)
            tally.seen += Counter(whole=LIMIT, refused=answers - LIMIT)
            await world.idle()
            arrived = edge(world).domain.requests
            adds_up(await world.samples(), 200 + REQUESTS + answers, arrived, tally)

            await world.system.restart("providers")  # closes what idles
            await world.simulator.wait(lambda now: now.open == now.connections == 0)
            await until(lambda: descriptors() == start)
            assert left_over() == Counter()
            assert resident() - warm < 32 * MEGABYTE
            assert (await world.slots()).active == 0
            await until(lambda: world.system.statistics().waiting == 0)  # what was told is heard
            actors = world.system.statistics()
            assert (actors.crashes, actors.dead_letters) == (0, 0)
            assert edge(world).domain.crashed == 0
    assert [line for line in log if line["log_level"] == "error"] == []
