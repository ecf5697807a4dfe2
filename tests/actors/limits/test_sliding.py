"""The limit's algorithm against brute force, and the bounds of what a process remembers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.limits.sliding import LocalCounts, SlidingLog
from sluice.actors.settings import Rate

WINDOW = 10
Gaps = st.lists(st.integers(0, 2 * WINDOW), min_size=1, max_size=60)


def in_window(accepted: list[int], now: int) -> int:
    """Brute force: those of the window that ends now."""
    return sum(now - WINDOW < each <= now for each in accepted)


@given(gaps=Gaps, limit=st.integers(1, 8))
def test_who_stays_below_his_limit_is_never_refused_and_nobody_gets_more(
    gaps: list[int], limit: int
) -> None:
    log, accepted, now = SlidingLog(), list[int](), 0
    for gap in gaps:
        now += gap
        before = in_window(accepted, now)
        verdict = log.take(limit, WINDOW, now)
        assert verdict.accepted == (before < limit)
        if verdict.accepted:
            accepted.append(now)
        assert verdict.remaining == limit - in_window(accepted, now)
        assert len(log.times) <= limit
    assert all(in_window(accepted, end) <= limit for end in range(now + WINDOW + 1))


@given(gaps=Gaps, limit=st.integers(1, 8))
def test_who_waits_as_long_as_he_is_told_is_accepted_and_not_a_moment_sooner(
    gaps: list[int], limit: int
) -> None:
    log, now = SlidingLog(), 0
    for gap in gaps:
        now += gap
        verdict = log.take(limit, WINDOW, now)
        if not verdict.accepted:
            assert verdict.wait > 0
            assert not log.take(limit, WINDOW, now + int(verdict.wait) - 1).accepted
            now += int(verdict.wait)
            assert log.take(limit, WINDOW, now).accepted


@given(gaps=Gaps, limits=st.lists(st.integers(1, 8), min_size=60, max_size=60))
def test_a_limit_that_changes_holds_at_once(gaps: list[int], limits: list[int]) -> None:
    log, accepted, now = SlidingLog(), list[int](), 0
    for gap, limit in zip(gaps, limits, strict=False):
        now += gap
        expected = in_window(accepted, now) < limit
        verdict = log.take(limit, WINDOW, now)
        assert verdict.accepted == expected
        if verdict.accepted:
            accepted.append(now)
        else:
            assert in_window(accepted, now + int(verdict.wait)) < limit
            assert in_window(accepted, now + int(verdict.wait) - 1) >= limit


def test_who_was_idle_has_the_whole_limit_at_once_and_then_nothing_for_a_window() -> None:
    log = SlidingLog()
    assert [log.take(5, 60.0, 1000.0).accepted for _ in range(6)] == [True] * 5 + [False]
    assert log.take(5, 60.0, 1000.0).wait == 60
    assert not log.take(5, 60.0, 1059.9).accepted
    assert log.take(5, 60.0, 1060.0).remaining == 4


def test_each_of_several_processes_counts_its_share_and_one_at_the_least() -> None:
    counts = LocalCounts()
    taken = [counts.take("ip", "a", Rate(10, "second"), 4, 0.0) for _ in range(4)]
    assert [each.accepted for each in taken] == [True, True, False, False]
    assert taken[0].limit == 2
    few = [counts.take("ip", "b", Rate(3, "second"), 4, 0.0) for _ in range(2)]
    assert [each.accepted for each in few] == [True, False]


def test_callers_do_not_count_for_each_other() -> None:
    counts = LocalCounts()
    rate = Rate(1, "minute")
    for kind, name in (("ip", "a"), ("ip", "b"), ("token", "a")):
        assert counts.take(kind, name, rate, 1, 0.0).accepted
        assert not counts.take(kind, name, rate, 1, 1.0).accepted


def test_a_hundred_thousand_callers_are_not_all_remembered() -> None:
    counts = LocalCounts(most_callers=1000)
    for number in range(100_000):
        counts.take("ip", str(number), Rate(100, "minute"), 1, number / 1000)
        assert len(counts) <= 1000
    assert counts._times <= 1000


def test_what_is_remembered_of_requests_is_bounded_too_but_never_the_callers_own() -> None:
    counts = LocalCounts(most_times=50)
    for name in ("a", "b"):
        for _ in range(100):
            counts.take("ip", name, Rate(70, "hour"), 1, 0.0)
    assert len(counts) == 1
    assert not counts.take("ip", "b", Rate(70, "hour"), 1, 1.0).accepted


def test_callers_whose_requests_no_longer_count_are_forgotten() -> None:
    counts = LocalCounts()
    for number in range(50):
        counts.take("ip", str(number), Rate(2, "second"), 1, 0.0)
    counts.take("ip", "last", Rate(2, "second"), 1, 1.0)
    assert len(counts) == 1


@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from("abcd"), st.sampled_from(["second", "minute"])
        ),
        max_size=80,
    )
)
def test_the_count_of_requests_remembered_is_what_the_logs_hold(
    calls: list[tuple[int, str, str]],
) -> None:
    counts, now = LocalCounts(most_callers=3, most_times=7), 0
    for gap, name, per in calls:
        now += gap
        counts.take("ip", name, Rate(3, per), 1, now)  # type: ignore[arg-type]
        assert counts._times == sum(len(log.times) for log in counts._logs.values())
        assert len(counts) <= 3
