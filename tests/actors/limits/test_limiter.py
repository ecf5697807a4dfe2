"""The limiter without a real store: what it asks, what it does without, what it tells."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio

from sluice.actors.failures import counted_as
from sluice.actors.limits.callers import Caller
from sluice.actors.limits.limiter import Limiter, headers_of, refusal
from sluice.actors.limits.sliding import Verdict
from sluice.actors.settings import LimitSettings, Rate
from sluice.actors.store import Op, Patience, StoreClient, StoreRefused, StoreUnavailable

LIMITS = LimitSettings(Rate(4, "minute"), Rate(5, "hour"), None)
IP = Caller("ip", "192.0.2.1")


class FakeStore:
    """Answers as it is told, or is away."""

    def __init__(self) -> None:
        self.reply: Any = [1, 3, 60_000_000]
        self.asked: list[Op] = []

    async def run(self, op: Op, patience: Patience | None = None) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked.append(op)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


class World:
    def __init__(self, processes: int = 1, limits: LimitSettings = LIMITS) -> None:
        self.store = FakeStore()
        self.now = 0.0
        store = cast("StoreClient", self.store)
        self.limiter = Limiter(limits, store, processes, lambda: self.now)

    async def take(self, caller: Caller = IP) -> Verdict | None:
        return await self.limiter.take(caller, Patience())


async def test_each_kind_of_caller_is_limited_by_its_own_rate_on_one_key_of_his_own() -> None:
    at = World()
    assert await at.take() == Verdict(True, 4, 3, 60.0)
    await at.take(Caller("user", "ada:x"))
    keys = [op.key for op in at.store.asked]
    assert keys == ["sluice:1:limit:ip:60:192.0.2.1", "sluice:1:limit:user:3600:ada%3Ax"]
    assert [op.args[4:] for op in at.store.asked] == [(4, 60_000_000), (5, 3_600_000_000)]


async def test_who_is_not_limited_asks_nobody() -> None:
    at = World()
    assert await at.take(Caller("token", "a")) is None
    assert await at.take(Caller("ip", "a", limit=None)) is None
    assert not at.store.asked


async def test_a_callers_own_limit_comes_before_that_of_his_kind() -> None:
    at = World()
    await at.take(Caller("token", "a", limit=Rate(9, "day")))
    (asked,) = at.store.asked
    assert asked.args[4:] == (9, 86_400_000_000)


async def test_limits_change_at_once() -> None:
    at = World()
    at.limiter.limits = LimitSettings(Rate(7, "second"))
    await at.take()
    at.limiter.limits = LimitSettings(None)
    assert await at.take() is None
    (asked,) = at.store.asked
    assert asked.args[4:] == (7, 1_000_000)


@pytest.mark.parametrize("why", [StoreUnavailable("gone"), StoreRefused("OOM full")])
async def test_without_the_store_each_process_of_each_replica_counts_its_part(
    why: Exception,
) -> None:
    at = World(processes=1, limits=LimitSettings(Rate(4, "minute"), replicas=2))
    at.store.reply = why
    verdicts = [await at.take() for _ in range(3)]
    assert verdicts == [
        Verdict(True, 2, 1, 60.0),
        Verdict(True, 2, 0, 60.0),
        Verdict(False, 2, 0, 60.0),
    ]
    at.now = 60.0
    assert (await at.take()) == Verdict(True, 2, 1, 60.0)
    statistics = at.limiter.statistics()
    assert (statistics.by_store, statistics.locally, statistics.refused) == (0, 4, 1)


async def test_there_is_always_a_limit_even_of_one() -> None:
    limiter = Limiter(LIMITS, None, processes=64, clock=lambda: 0.0)
    verdicts = [await limiter.take(IP, Patience()) for _ in range(2)]
    assert [each is not None and each.accepted for each in verdicts] == [True, False]


def test_headers_tell_whole_seconds_and_never_too_few() -> None:
    assert headers_of(Verdict(True, 100, 7, 11.2)) == [
        (b"ratelimit-limit", b"100"),
        (b"ratelimit-remaining", b"7"),
        (b"ratelimit-reset", b"12"),
    ]


@pytest.mark.parametrize(("kind", "who"), [("ip", "address"), ("user", "user"), ("token", "token")])
def test_a_refusal_is_a_429_that_is_no_error_of_ours(kind: Any, who: str) -> None:
    failure = refusal(Caller(kind, "secret name"), Verdict(False, 5, 0, 11.2))
    assert (failure.status, failure.code, failure.limited_by) == (429, "rate_limit_exceeded", kind)
    assert (
        failure.message == f"This {who} has reached its limit of requests (5); try again in 12 s."
    )
    assert failure.retry_after == 11.2
    assert counted_as(failure) is None
