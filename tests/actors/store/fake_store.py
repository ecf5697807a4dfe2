"""A store in memory streams that answers as the test says: for virtual time, without sockets."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import hiredis
import trio
import trio.testing

from sluice.actors.store.channel import Change, Channel
from sluice.actors.store.client import StoreClient
from sluice.actors.store.counts import Counts
from sluice.actors.store.errors import LinkFailed
from sluice.actors.store.networks import SingleServer
from sluice.actors.store.settings import StoreSettings

CHANCE = Random(1)  # noqa: S311 -- jitter that is the same in each run

Answer = Callable[[list[bytes]], bytes | None]
"""The bytes to answer a command with; None: none."""


def echo(words: list[bytes]) -> bytes:
    """Answers ``GET x`` with ``x``, and all else with OK."""
    if words[0] == b"GET":
        return b"$%d\r\n%b\r\n" % (len(words[1]), words[1])
    return b"+OK\r\n"


class FakeStore:
    """``answer`` decides; ``delay`` is in seconds; unless it is ``up``, no connection is made."""

    def __init__(self, answer: Answer = echo) -> None:
        self.answer = answer
        self.delay = 0.0
        self.up = True
        self.dials: list[float] = []
        self.pieces: list[list[list[bytes]]] = []
        """The commands of each piece that arrived."""
        self.streams: list[trio.abc.Stream] = []
        self.nursery: trio.Nursery

    async def dial(self) -> trio.abc.Stream:
        self.dials.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if not self.up:
            raise LinkFailed("no connection")
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(theirs)
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def cut(self) -> None:
        for stream in self.streams:
            await stream.aclose()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        reader = hiredis.Reader()
        try:
            async for data in stream:
                reader.feed(bytes(data))
                words = []
                while (found := reader.gets()) is not False:
                    words.append(found)
                self.pieces.append(words)
                await trio.sleep(self.delay)
                for each in words:
                    answer = self.answer(each)
                    if answer is not None:
                        await stream.send_all(answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


class World:
    """A client of a fake store."""

    def __init__(self, nursery: trio.Nursery, answer: Answer = echo) -> None:
        self.fake = FakeStore(answer)
        self.fake.nursery = nursery
        self.changes: list[Change] = []
        counts = Counts()
        self.channel = Channel(
            "fake", self.fake.dial, chance=CHANCE, counts=counts, on_change=self.changes.append
        )
        network = SingleServer(self.channel, self.fake.dial)
        self.client = StoreClient(StoreSettings(), network, counts)
        nursery.start_soon(self.client.serve)

    async def connected(self) -> World:
        assert await self.client.usable(1)
        return self
