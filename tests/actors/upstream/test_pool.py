from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.upstream import IdlePool


def test_the_connection_used_last_is_used_next() -> None:
    pool: IdlePool[str] = IdlePool(max_idle=9, keepalive=10)
    pool.put("first", now=0)
    pool.put("second", now=1)
    assert [pool.take(now=2), pool.take(now=2), pool.take(now=2)] == ["second", "first", None]


def test_beyond_the_most_that_may_idle_the_oldest_goes() -> None:
    pool: IdlePool[str] = IdlePool(max_idle=2, keepalive=10)
    assert [pool.put(name, now=0) for name in "abc"] == [None, None, "a"]
    assert len(pool) == 2


def test_with_none_allowed_to_idle_each_goes_at_once() -> None:
    pool: IdlePool[str] = IdlePool(max_idle=0, keepalive=10)
    assert pool.put("a", now=0) == "a"
    assert pool.take(now=0) is None


def test_one_that_idled_too_long_is_not_given_out_and_is_returned_to_be_closed() -> None:
    pool: IdlePool[str] = IdlePool(max_idle=9, keepalive=10)
    pool.put("old", now=0)
    pool.put("young", now=5)
    assert pool.take(now=15) is None
    assert pool.expire(now=10) == ["old"]
    assert pool.take(now=14.9) == "young"


def test_those_found_useless_are_taken_out_and_the_others_keep_their_order() -> None:
    pool: IdlePool[str] = IdlePool(max_idle=9, keepalive=10)
    for name in "abcd":
        pool.put(name, now=0)
    assert pool.discard(lambda name: name in "bd") == ["b", "d"]
    assert [pool.take(now=1), pool.take(now=1), pool.take(now=1)] == ["c", "a", None]


def test_its_picture_says_how_many_idle() -> None:
    pool: IdlePool[str] = IdlePool(max_idle=2, keepalive=10)
    pool.put("a", now=0)
    assert repr(pool) == "<IdlePool 1 of 2 idle>"


actions = st.lists(st.sampled_from(["put", "take", "expire", "discard", "wait"]), max_size=60)


@given(actions, st.integers(0, 4))
def test_every_connection_leaves_exactly_once_by_one_way(taken: list[str], most: int) -> None:
    pool: IdlePool[int] = IdlePool(max_idle=most, keepalive=3)
    now, made, left = 0.0, 0, []
    for action in taken:
        if action == "put":
            left.append(pool.put(made, now))
            made += 1
        elif action == "take":
            left.append(pool.take(now))
        elif action == "expire":
            left += pool.expire(now)
        elif action == "discard":
            left += pool.discard(lambda connection: connection % 3 == 0)
        now += action == "wait"
        assert len(pool) <= most
    left += pool.clear()
    assert sorted(each for each in left if each is not None) == list(range(made))
