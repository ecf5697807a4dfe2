"""One ask in 16 of each actor, and of each link, is timed."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.engine.cast import Nap, Player, Say, Stage
from tests.engine.pair import pair

from sluice.engine import (
    ASK_BOUNDS,
    ActorStatistics,
    AskTimeout,
    ChildSpec,
    LatencyStatistics,
    SupervisorSpec,
    System,
    open_system,
)

ASKS = 40
TIMED = 3
"""The first of them, the 17th and the 33rd."""


def latency(system: System, path: str) -> LatencyStatistics:
    found = system.inspect(path)
    assert isinstance(found, ActorStatistics)
    return found.latency


def bucket_of(seconds: float) -> list[int]:
    """A distribution of the one observation ``seconds``."""
    place = sum(bound < seconds for bound in ASK_BOUNDS)
    return [int(each == place) for each in range(len(ASK_BOUNDS) + 1)]


async def test_asks_are_timed_from_the_mailbox_to_the_reply(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage()
    root = SupervisorSpec("root", [ChildSpec("a", lambda: Player(stage))])
    async with open_system(root) as system:
        assert sum(latency(system, "a").buckets) == 0
        await system.ref("a").ask(Nap(0.02))
        timed = latency(system, "a")
        assert list(timed.buckets) == bucket_of(0.02)
        assert timed.seconds == pytest.approx(0.02)
        for _ in range(ASKS - 1):
            await system.ref("a").ask(Say("x"))
        assert sum(latency(system, "a").buckets) == TIMED


async def test_an_ask_whose_deadline_passed_was_as_long_as_that(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage()
    root = SupervisorSpec("root", [ChildSpec("a", lambda: Player(stage))])
    async with open_system(root) as system:
        with pytest.raises(AskTimeout):
            await system.ref("a").ask(Nap(9), timeout=3)
        assert list(latency(system, "a").buckets) == bucket_of(3)
        assert latency(system, "a").seconds == pytest.approx(3)


async def test_what_is_told_is_not_timed() -> None:
    stage = Stage()
    root = SupervisorSpec("root", [ChildSpec("a", lambda: Player(stage))])
    async with open_system(root) as system:
        for _ in range(ASKS):
            await system.ref("a").tell(Say("x"))
        await system.ref("a").ask(Say("x"))
        assert sum(latency(system, "a").buckets) == 1


async def test_asks_over_a_link_are_timed_by_both_ends() -> None:
    async with pair() as both:
        for _ in range(ASKS):
            await both.host.ref("b@worker").ask(Nap(0.02))
        await both.host.ref("b@worker").tell(Nap(0.02))
        there = latency(both.worker, "b")
        assert list(there.buckets) == [TIMED * each for each in bucket_of(0.02)]
        assert list(both.facts().latency.buckets) == list(there.buckets)
        assert both.facts().latency.seconds == pytest.approx(TIMED * 0.02)
