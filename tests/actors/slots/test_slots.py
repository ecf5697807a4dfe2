from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.slots.slots import Slots


def test_the_last_slot_is_granted_and_the_next_one_is_not() -> None:
    slots = Slots(2, 0.8)
    assert [slots.take(each) for each in "abc"] == [True, True, False]
    assert len(slots) == 2


def test_a_slot_that_is_given_back_can_be_taken_again() -> None:
    slots = Slots(1, 0.8)
    slots.take("a")
    slots.give_back(["a"])
    assert len(slots) == 0
    assert slots.take("b")


def test_taking_and_giving_back_twice_is_as_good_as_once() -> None:
    slots = Slots(2, 0.8)
    assert slots.take("a")
    assert slots.take("a")
    assert len(slots) == 1
    assert slots.take("b")
    for held in (["a"], ["a"], ["never had one"]):
        slots.give_back(held)
        assert len(slots) == 1


def test_from_the_soft_limit_on_it_says_so() -> None:
    slots = Slots(10, 0.8)
    for each in range(7):
        slots.take(str(each))
    assert not slots.above_soft_limit
    slots.take("7")
    assert slots.above_soft_limit


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Slots(0, 0.8)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9))), st.integers(1, 5))
def test_never_more_holders_than_slots(steps: list[tuple[bool, int]], limit: int) -> None:
    slots, holders = Slots(limit, 0.8), set[int]()
    for takes, holder in steps:
        if takes:
            granted = slots.take(str(holder))
            assert granted == (holder in holders or len(holders) < limit)
            if granted:
                holders.add(holder)
        else:
            slots.give_back([str(holder)])
            holders.discard(holder)
        assert len(slots) == len(holders) <= limit


def test_another_limit_holds_from_then_on_and_takes_no_slot_away() -> None:
    slots = Slots(3, 1.0)
    assert all(slots.take(holder) for holder in "abc")
    slots.resize(2, 0.5)
    assert len(slots) == 3
    slots.give_back(["a"])
    assert not slots.take("d")
    slots.give_back(["b"])
    assert slots.take("d")
    assert (slots.limit, slots.soft_limit) == (2, 1)
