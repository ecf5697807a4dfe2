"""The chunks of streams under way reach the metrics once, whatever becomes of the metrics."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import trio

from sluice.actors.metrics.metrics import ChunksStreamed
from sluice.actors.streams.stream import Stream
from sluice.actors.streams.streams import StreamService
from sluice.engine import ActorStopped, Ref


class Counting:
    """Metrics that can be away; ``slow`` ones take an hour over each message."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.away = self.slow = False

    async def ask(self, message: ChunksStreamed) -> None:
        if self.away:
            raise ActorStopped("metrics", "metrics: stopped")
        if self.slow:
            await trio.sleep(3600)
        self.counted.update(message.counts)


def under_way(provider: str, chunks: int) -> Any:
    flow = SimpleNamespace(chunks=chunks, told_chunks=0)
    model = SimpleNamespace(provider=provider)
    return SimpleNamespace(flow=flow, heard=flow, model=model, answer_began=True)


def service_of(**streams: Any) -> StreamService:
    service = StreamService()
    service.live.update(cast("dict[str, Stream]", streams))
    return service


async def tell(service: StreamService, metrics: Counting) -> None:
    await service.tell_chunks(cast("Ref", metrics))


async def test_chunks_are_told_once() -> None:
    one, waiting = under_way("a", 3), SimpleNamespace(heard=None)
    service, metrics = service_of(one=one, two=under_way("b", 2), waiting=waiting), Counting()
    await tell(service, metrics)
    one.flow.chunks += 4
    await tell(service, metrics)
    await tell(service, metrics)
    assert metrics.counted == {"a": 7, "b": 2}
    assert one.flow.told_chunks == 7


async def test_what_nobody_counts_is_owed_also_when_its_stream_has_ended() -> None:
    service, metrics = service_of(one=under_way("a", 3)), Counting()
    metrics.away = True
    await tell(service, metrics)
    service.live["one"].flow.chunks += 1  # type: ignore[misc, union-attr]
    await tell(service, metrics)
    service.live.clear()
    metrics.away = False
    await tell(service, metrics)
    await tell(service, metrics)
    assert metrics.counted == {"a": 4}


async def test_what_was_cancelled_on_its_way_is_owed(autojump_clock: trio.abc.Clock) -> None:
    service, metrics = service_of(one=under_way("a", 3)), Counting()
    metrics.slow = True
    with trio.move_on_after(1):
        await tell(service, metrics)
    metrics.slow = False
    await tell(service, metrics)
    await tell(service, metrics)
    assert metrics.counted == {"a": 3}


async def test_what_is_under_way_is_not_told_again(autojump_clock: trio.abc.Clock) -> None:
    service, metrics = service_of(one=under_way("a", 3)), Counting()
    metrics.slow = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, service, metrics)
        await trio.testing.wait_all_tasks_blocked()
        await tell(service, metrics)
    assert metrics.counted == {"a": 3}
