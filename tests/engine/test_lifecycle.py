"""The table of an actor's states."""

from typing import get_args

import pytest

from sluice.engine._lifecycle import REFUSES_ASKS, TRANSITIONS, UP, LifecycleError, State, follow


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(get_args(State))


def test_every_state_can_be_reached_from_new() -> None:
    reached: set[State] = {"new"}
    for _ in TRANSITIONS:
        reached |= {to for state in reached for to in TRANSITIONS[state].values()}
    assert reached == set(TRANSITIONS)


def test_every_state_leads_to_stopped() -> None:
    for state in TRANSITIONS:
        ways: set[State] = {state}
        for _ in TRANSITIONS:
            ways |= {to for way in ways for to in TRANSITIONS[way].values()}
        assert "stopped" in ways


def test_an_actor_that_is_up_goes_down_before_it_is_retired() -> None:
    assert all("retire" not in TRANSITIONS[state] for state in UP)
    assert not UP & REFUSES_ASKS


def test_a_step_that_is_not_in_the_table_is_a_bug() -> None:
    assert follow("new", "start") == "starting"
    with pytest.raises(LifecycleError, match="no 'resume' in state 'new'"):
        follow("new", "resume")
