"""The whole service with a simulator behind it, and clients that look at every byte they get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from prometheus_client.parser import text_string_to_metric_families
from tests.actors.fakes import UNLIMITED
from tests.http.edge_world import Answer, RawClient
from tests.leaks import nothing_left

from sluice.actors.settings import (
    BreakerSettings,
    ConnectionSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
    Timeouts,
)
from sluice.actors.slots.connections import Count, SlotsInUse
from sluice.http.server import bind
from sluice.ops.config import Config, ServerSettings
from sluice.ops.simulator import Options, Simulator, open_simulator
from sluice.ops.simulator.answers import Answers, plain
from sluice.ops.worker import Worker, open_worker

PATIENCE = 60.0
"""Seconds after which a test has failed: many times what it takes."""

SEED = 7
PROVIDER = "providers/simulator"
HELD = "sim-ok?chunks=20&hold=8"
"""Stops in the middle of its answer until `Simulator.release`."""
SHORT = "sim-ok?chunks=4"

_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: sluice\r\nContent-Type: application/json\r\n"
    b"Connection: %b\r\nContent-Length: %d\r\n\r\n%b"
)
_answers = Answers(SEED)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Every sample of an exposition, by its name and labels."""


class Event(msgspec.Struct, frozen=True):
    """One event of a stream."""

    id: str
    data: str


class World:
    """The running service."""

    def __init__(self, worker: Worker, simulator: Simulator, port: int) -> None:
        self.worker = worker
        self.system = worker.system
        self.simulator = simulator
        self.port = port

    async def connect(self) -> RawClient:
        return RawClient(await trio.open_tcp_stream("127.0.0.1", self.port))

    async def ask(self, model: str, prompt: str, *, streamed: bool = True) -> Answer:
        """The answer to one request, on a connection of its own."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            return await RawClient(stream).request(request(model, prompt, streamed=streamed))

    async def get(self, path: str, accept: str = "text/plain") -> Answer:
        """The answer to a GET, on a connection of its own."""
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            return await RawClient(stream).request(head.encode())

    async def samples(self) -> Samples:
        """All that ``/metrics`` tells, as it tells it over HTTP."""
        answer = await self.get("/metrics")
        assert answer.status == 200, answer
        return samples_of(answer)

    async def slots(self) -> SlotsInUse:
        """What the connection manager counts."""
        return await self.system.ref("connections").ask(Count())

    async def idle(self) -> None:
        """Return when no stream lives, and all that was told of the last ones is counted."""
        await until(lambda: not self.worker.streams.live)


@asynccontextmanager
async def open_world(
    *,
    limit: int = 100,
    drain: float = 30.0,
    models: Mapping[str, Timeouts] | None = None,
    options: Options | None = None,
) -> AsyncIterator[World]:
    """Sluice in this process, in front of a simulator.

    Its models are ``sim-*``, and those of ``models``, which have timeouts of their own. Each is
    asked once. At the end nothing of any request is left.
    """
    timeouts = {"sim-*": Timeouts(), **(models or {})}
    with trio.fail_after(PATIENCE):
        async with open_simulator(seed=SEED, options=options) as simulator:
            config = Config(
                server=ServerSettings(bind="127.0.0.1:0", drain=drain),
                connections=ConnectionSettings(limit=limit),
                breaker=BreakerSettings(failures=1000),
                retries=RetrySettings(attempts=0),
                limits=UNLIMITED,
                providers={"simulator": ProviderSettings("simulator", simulator.base_url)},
                models={
                    name: ModelSettings(name, "simulator", timeouts=own)
                    for name, own in timeouts.items()
                },
            )
            listening = bind([config.server.bind], 4096)
            port = listening[0].getsockname()[1]
            async with open_worker(config, listening) as worker:
                yield World(worker, simulator, port)
                await nothing_left(worker)


def samples_of(answer: Answer, *only: str) -> Samples:
    """What ``/metrics`` told, in the text format.

    ``only``: samples whose names begin so. To read them all takes a third of a short test's time.
    """
    text = answer.body.decode()
    if only:
        text = "\n".join(line for line in text.splitlines() if line.startswith(only)) + "\n"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as ``condition`` is true."""
    with trio.fail_after(PATIENCE):
        while True:
            if condition():
                return
            await trio.sleep(0.005)


def request(model: str, prompt: str, *, streamed: bool = True, keep: bool = False) -> bytes:
    """A chat completion, as it goes over the wire."""
    fields = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": streamed,
    }
    body = msgspec.json.encode(fields)
    return _REQUEST % (b"keep-alive" if keep else b"close", len(body), body)


def text_of(model: str, prompt: str, chunks: int) -> str:
    """What the simulator says to the first request with ``model`` and ``prompt``."""
    pieces = _answers.pieces(model.encode() + prompt.encode(), 1, chunks, 1)
    return plain(b"".join(pieces))


def events(body: bytes) -> list[Event]:
    """The events of a stream, without the comments that keep it alive."""
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        name, *lines = [line for line in block.split("\n") if not line.startswith(":")]
        data = "\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines)
        found.append(Event(name.removeprefix("id: "), data))
    return found


def said(answer: Answer) -> str:
    """The text that the events of a stream add up to."""
    pieces: list[str] = []
    for event in events(answer.body):
        if event.data != "[DONE]":
            chunk: dict[str, Any] = msgspec.json.decode(event.data)
            pieces += [choice["delta"].get("content") or "" for choice in chunk.get("choices", ())]
    return "".join(pieces)


def in_order(answer: Answer) -> bool:
    """Whether the ids of a stream's events count from 1, none left out and none twice."""
    stream = answer.headers["x-stream-id"]
    ids = [event.id for event in events(answer.body)]
    return ids == [f"{stream}-{number}" for number in range(1, len(ids) + 1)]


def is_whole(answer: Answer, text: str) -> bool:
    """Whether a stream is complete: every event in order, all of ``text``, its end marker."""
    return (
        answer.status == 200
        and answer.complete
        and in_order(answer)
        and events(answer.body)[-1].data == "[DONE]"
        and said(answer) == text
    )


def is_refused(answer: Answer, status: int, code: str) -> bool:
    """Whether it is an error of ours, before the first byte, that says when to come back."""
    return (
        answer.status == status
        and answer.complete
        and answer.code == code
        and "retry-after" in answer.headers
    )


def failed(answer: Answer, code: str | None = None) -> bool:
    """Whether a stream that had begun ended properly with one error, and no end marker.

    ``code``: the error's, if it is known. A text may well say ``[DONE]``; an event must not.
    """
    *before, last = events(answer.body)
    found = msgspec.json.decode(last.data).get("error", {}).get("code")
    return (
        answer.status == 200
        and answer.complete
        and in_order(answer)
        and found is not None
        and code in {None, found}
        and not any(each.data == "[DONE]" or '"error":' in each.data for each in before)
    )


def never_back(before: Samples, after: Samples) -> bool:
    """Whether every counter, and every count of a histogram, is at least what it was."""
    counting = ("_total", "_bucket", "_count", "_sum")
    return all(
        after.get(key, -1.0) >= value for key, value in before.items() if key[0].endswith(counting)
    )


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of ``name`` that have ``labels``."""
    wanted = set(labels.items())
    return sum(
        value for (each, has), value in samples.items() if each == name and wanted <= set(has)
    )
