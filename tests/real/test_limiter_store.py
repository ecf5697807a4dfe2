"""The limiter in a real Valkey: its script against the same algorithm in Python, and its bounds."""

from __future__ import annotations

import itertools
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.real.store_networks import Node, node
from tests.real.store_servers import valkey
from tests.real.test_store_servers import connected

from sluice.actors.limits.callers import Caller
from sluice.actors.limits.limiter import Limiter
from sluice.actors.limits.script import TAKE, TAKE_MANY, read, taking
from sluice.actors.limits.sliding import SlidingLog
from sluice.actors.settings import LimitSettings, Rate
from sluice.actors.store import Patience, StoreSettings

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("limiter store")]

WINDOW = 1000
"""Seconds of a clock that the test sets; by the server's own no key expires meanwhile."""
WITH_CLOCK = TAKE.source.replace("redis.call('TIME')", "{ARGV[3], ARGV[4]}")
START = 1_700_000_000
MANY = 20_000
"""Callers: four times as many as have a worker remember the most that it ever does."""
names = (f"caller-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One for all: no two tests have a caller in common."""
    with node(valkey(), tmp_path_factory.mktemp("store")) as started:
        yield started


@pytest.fixture
def url(server: Node) -> str:
    return f"redis://{server}"


def take(server: Node, key: str, limit: int, now: int) -> list[Any]:
    """The script's answer at ``now``."""
    answer = server.run("EVAL", WITH_CLOCK, 1, key, limit, WINDOW * 1_000_000, START + now, 0)
    accepted, remaining, wait = answer
    return [accepted, remaining, wait // 1_000_000]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2 * WINDOW), st.integers(1, 6)), max_size=40),
    alike=st.booleans(),
)
def test_the_script_decides_as_the_algorithm_in_python_does(
    server: Node, steps: list[tuple[int, int]], alike: bool
) -> None:
    log, name, now = SlidingLog(), next(names), 0
    for gap, limit in steps:
        now += gap
        limit = 3 if alike else limit  # noqa: PLW2901 -- most limits stay as they are
        accepted, remaining, wait = take(server, name, limit, now)
        expected = log.take(limit, WINDOW, now)
        assert (bool(accepted), remaining, wait) == (
            expected.accepted,
            expected.remaining,
            expected.wait,
        )
        assert server.run("LLEN", name) == len(log.times)


def test_a_long_list_is_cut_where_the_window_begins(server: Node) -> None:
    name = next(names)
    for number in range(300):
        assert take(server, name, 500, number * 3)[0] == 1
    assert take(server, name, 500, 1500) == [1, 500 - 134, 1]
    assert server.run("LLEN", name) == 134


def test_while_the_servers_clock_is_set_back_time_stands_still(server: Node) -> None:
    name = next(names)
    assert take(server, name, 2, 500)[0] == 1
    assert take(server, name, 2, 100) == [1, 0, WINDOW]
    assert take(server, name, 2, 1499) == [0, 0, 1]
    assert take(server, name, 2, 1500)[0] == 1


def test_what_seems_to_be_far_ahead_is_forgotten(server: Node) -> None:
    name = next(names)
    assert take(server, name, 1, 50 * WINDOW)[0] == 1
    assert take(server, name, 1, 0)[0] == 1


def test_a_caller_is_forgotten_within_a_quarter_of_a_window_after_his_last_request_left_it(
    server: Node,
) -> None:
    op = taking("ip", next(names), Rate(3, "minute"))
    answer = server.run("EVAL", op.source, *op.args[2:])
    assert read(answer, Rate(3, "minute")).accepted
    assert 74_000 < server.run("PTTL", op.key) <= 75_000


@settings(max_examples=30, deadline=None)
@given(gaps=st.lists(st.integers(0, WINDOW + WINDOW // 4), min_size=1, max_size=30))
def test_no_request_is_forgotten_before_it_leaves_the_window(server: Node, gaps: list[int]) -> None:
    name, now, expires = next(names), 0, 0
    for gap in gaps:
        now += gap
        assert take(server, name, 1000, now)[0] == 1
        if server.run("PTTL", name) < 2 * WINDOW * 1000:  # set in this step: no clock has moved
            expires = now + WINDOW + WINDOW // 4
            server.run("PEXPIRE", name, 3 * WINDOW * 1000)  # so that the next one is seen
        assert now + WINDOW <= expires <= now + WINDOW + WINDOW // 4


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, WINDOW // 4) | st.integers(-2 * WINDOW, WINDOW + WINDOW // 4),
            st.integers(1, 6),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_nor_where_the_servers_clock_is_set_forward_or_back_and_limits_change(
    server: Node, steps: list[tuple[int, int]]
) -> None:
    name, now, expires = next(names), 100 * WINDOW, 0
    for gap, limit in steps:
        now += gap
        if now >= expires:
            server.run("DEL", name)
        take(server, name, limit, now)
        if server.run("PTTL", name) < 2 * WINDOW * 1000:  # as above
            expires = now + WINDOW + WINDOW // 4
            server.run("PEXPIRE", name, 3 * WINDOW * 1000)
        newest = int(server.run("LINDEX", name, -1)) // 1_000_000 - START
        assert newest + WINDOW <= expires


@settings(max_examples=30, deadline=None)
@given(
    moments=st.lists(
        st.tuples(st.integers(0, WINDOW), st.lists(st.integers(0, 2), min_size=2, max_size=8)),
        max_size=8,
    )
)
def test_several_that_are_decided_about_in_one_step_are_decided_one_after_the_other(
    server: Node, moments: list[tuple[int, list[int]]]
) -> None:
    callers, now = [next(names) for _ in range(3)], 0
    logs = [SlidingLog() for _ in callers]
    limits = [1, 3, 5]
    for gap, asking in moments:
        now += gap
        args = [each for who in asking for each in (limits[who], WINDOW * 1_000_000)]
        source = TAKE_MANY.source.replace("redis.call('TIME')", f"{{{START + now}, 0}}")
        keys = [callers[who] for who in asking]
        answers = server.run("EVAL", source, len(keys), *keys, *args)
        for who, (accepted, remaining, wait) in zip(asking, answers, strict=True):
            expected = logs[who].take(limits[who], WINDOW, now)
            assert (bool(accepted), remaining, wait / 1_000_000) == (
                expected.accepted,
                expected.remaining,
                expected.wait,
            )


async def test_callers_who_come_in_the_same_moment_have_each_his_own_limit(url: str) -> None:
    limits = LimitSettings(ip=Rate(3, "hour"))
    callers = [Caller("ip", next(names)) for _ in range(5)]
    verdicts: dict[str, list[bool]] = {caller.name: [] for caller in callers}

    async def ask(limiter: Limiter, caller: Caller) -> None:
        verdict = await limiter.take(caller, Patience(5))
        assert verdict is not None
        verdicts[caller.name].append(verdict.accepted)

    async with connected(StoreSettings(url, timeout=5.0)) as client:
        limiter = Limiter(limits, client)
        async with trio.open_nursery() as nursery:
            for caller in callers * 7:
                nursery.start_soon(ask, limiter, caller)
        assert limiter.statistics().by_store == 35
    assert [sum(accepted) for accepted in verdicts.values()] == [3] * 5


async def test_two_workers_that_share_a_store_share_the_limit(url: str) -> None:
    limits = LimitSettings(ip=Rate(7, "hour"))
    caller = Caller("ip", next(names))
    async with (
        connected(StoreSettings(url)) as one,
        connected(StoreSettings(url)) as other,
    ):
        workers = [Limiter(limits, one), Limiter(limits, other)]
        verdicts = []
        for worker in workers * 10:
            verdict = await worker.take(caller, Patience())
            assert verdict is not None
            verdicts.append(verdict)
    assert [each.accepted for each in verdicts] == [True] * 7 + [False] * 13
    assert [each.remaining for each in verdicts[:7]] == [6, 5, 4, 3, 2, 1, 0]
    assert all(0 < each.wait <= 3600 for each in verdicts)
    assert sum(each.statistics().by_store for each in workers) == 20


async def test_a_store_that_is_stopped_costs_a_share_and_a_bounded_time(
    server: Node, url: str
) -> None:
    limits = LimitSettings(ip=Rate(8, "hour"), replicas=2)
    async with connected(StoreSettings(url)) as client:
        limiter = Limiter(limits, client, processes=2)
        server.process.send_signal(signal.SIGSTOP)
        try:
            patience, caller = Patience(), Caller("ip", next(names))
            verdicts = [await limiter.take(caller, patience) for _ in range(4)]
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert [each is not None and each.accepted for each in verdicts] == [
            *(True, True),
            *(False, False),
        ]
        assert limiter.statistics().locally == 4
        with trio.fail_after(20):
            while limiter.statistics().by_store == 0:
                await limiter.take(Caller("ip", next(names)), Patience())
                await trio.sleep(0.01)


async def test_many_callers_leave_nothing_in_the_worker_and_expire_in_the_store(
    server: Node, url: str
) -> None:
    before = server.run("DBSIZE")

    async def ask(numbers: range, limiter: Limiter) -> None:
        for number in numbers:
            verdict = await limiter.take(Caller("ip", f"many-{number}"), Patience(5))
            assert verdict is not None
            assert verdict.accepted

    async with connected(StoreSettings(url, timeout=1.0)) as client:
        limiter = Limiter(LimitSettings(ip=Rate(100, "second")), client)
        await ask(range(5000), limiter)
        began = resident()
        async with trio.open_nursery() as nursery:
            for part in range(64):
                nursery.start_soon(ask, range(5000 + part, MANY, 64), limiter)
        assert resident() - began < 2 * 2**20
        assert limiter.statistics().by_store == MANY
    with trio.fail_after(20):
        while server.run("DBSIZE") > before:  # noqa: ASYNC110 -- nothing tells of it
            await trio.sleep(0.05)


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
