"""Two systems, `host` and `worker`, joined by a link over streams in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from tests.engine.cast import (
    Crash,
    Nap,
    Pass,
    PassInTasks,
    Refuse,
    Say,
    Stage,
    Tell,
    Watch,
)
from trio.testing import memory_stream_pair

from sluice.engine import Link, LinkOptions, Links, LinkStatistics, Message, Protocol, System

MESSAGES: list[type[Message[Any]]] = [Say, Crash, Nap, Pass, PassInTasks, Refuse, Tell]
NOT_REGISTERED = Watch


@dataclass
class Pair:
    """Both systems; ``host_link`` and ``worker_link`` are the ends of their link."""

    nursery: trio.Nursery
    host_links: Links
    worker_links: Links
    stage: Stage = field(default_factory=Stage)
    far_stage: Stage = field(default_factory=Stage)
    host: System = field(init=False)
    worker: System = field(init=False)
    host_link: Link = field(init=False)
    worker_link: Link = field(init=False)
    streams: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair

    async def join(self) -> None:
        """Make a new link, and route both ways over it."""
        here, there = self.streams()
        self.host_link = Link(self.host_links, here, "worker")
        self.worker_link = Link(self.worker_links, there, "host")
        for link in (self.host_link, self.worker_link):
            self.nursery.start_soon(link.run)
        for link in (self.host_link, self.worker_link):
            await link.opened.wait()
            link.links.route(link)

    def facts(self) -> LinkStatistics:
        """The host's side, in numbers."""
        (facts,) = self.host.statistics().links
        return facts


@asynccontextmanager
async def pair(
    here: Iterable[str] = ("a",),
    there: Iterable[str] = ("b",),
    options: LinkOptions | None = None,
    streams: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair,
    **far: Any,
) -> AsyncIterator[Pair]:
    """Both systems, with actors of these names; ``far`` is of the worker's."""
    protocol = Protocol(MESSAGES)
    async with trio.open_nursery() as nursery:
        both = Pair(
            nursery,
            Links("host", protocol, peers=["worker"], options=options),
            Links("worker", protocol, peers=["host"], options=options),
            streams=streams,
        )
        root = both.stage.supervisor(*here)
        far_root = both.far_stage.supervisor(*there)
        if far:
            far_root = type(far_root)("root", [both.far_stage.child(n, **far) for n in there])
        async with (
            both.stage.open(root, links=both.host_links) as both.host,
            both.far_stage.open(far_root, links=both.worker_links) as both.worker,
        ):
            await both.join()
            yield both
            nursery.cancel_scope.cancel()
