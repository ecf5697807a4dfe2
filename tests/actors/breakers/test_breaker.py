"""The circuit breaker's table, against a model that looks through all that ever happened."""

from __future__ import annotations

from math import inf

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from sluice.actors.breakers.breaker import FAILURES, TRANSITIONS, Breaker, BreakerOrder, What
from sluice.actors.settings import BreakerSettings

SEED = BreakerSettings()
FEW = BreakerSettings(failures=3, window=10, cooldown=20)
OUTCOMES: tuple[What, ...] = ("answered", "ended", "failed", "broke", "released")


def opened(at: float = 0.0, figures: BreakerSettings = SEED) -> Breaker:
    breaker = Breaker(figures)
    for _ in range(figures.failures):
        breaker.hear("failed", "", at)
    assert breaker.state == "open"
    return breaker


class Model:
    """What the seed says, by looking back at everything."""

    def __init__(self) -> None:
        self.log: list[tuple[float, What]] = []
        """Outcomes that counted since it was last closed."""
        self.opened_at: float | None = None
        self.held = False
        self.half = False
        self.probes: dict[str, tuple[str, float]] = {}

    def state(self, now: float) -> str:
        if self.opened_at is None:
            return "half_open" if self.half else "closed"
        if not self.held and now - self.opened_at >= FEW.cooldown:
            self.opened_at, self.half = None, True
            return "half_open"
        return "open"

    def open(self, now: float, *, held: bool = False) -> None:
        self.log, self.probes, self.half = [], {}, False
        self.opened_at, self.held = now, held

    def close(self) -> None:
        self.log, self.probes, self.half, self.opened_at = [], {}, False, None

    def has_failed(self, now: float, kind: What, ended_by: set[What]) -> bool:
        ends = [index for index, (_, what) in enumerate(self.log) if what in ended_by]
        since = self.log[ends[-1] + 1 :] if ends else self.log
        times = [at for at, what in since if what == kind]
        return any(
            now - at <= FEW.window for at in times[-FEW.failures : len(times) - FEW.failures + 1]
        )

    def hear(self, what: What, permit: str, now: float) -> None:
        state = self.state(now)
        if state == "closed":
            self.log.append((now, what))
            if self.has_failed(now, "failed", {"answered", "ended"}) or self.has_failed(
                now, "broke", {"ended"}
            ):
                self.open(now)
        elif state == "half_open" and permit in self.probes:
            if what == "released":
                del self.probes[permit]
            elif what in FAILURES:
                self.open(now)
            else:
                self.close()

    def admit(self, permit: str, process: str, now: float) -> bool:
        state = self.state(now)
        if state != "half_open":
            return state == "closed"
        if permit in self.probes:
            return True
        if any(now - since < FEW.cooldown for _, since in self.probes.values()):
            return False
        self.probes[permit] = (process, now)
        return True

    def bereave(self, process: str) -> None:
        self.probes = {name: each for name, each in self.probes.items() if each[0] != process}


class Life(RuleBasedStateMachine):
    """Whatever happens, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker, self.model = Breaker(FEW), Model()

    @rule(seconds=st.sampled_from([0.5, 1, 4, 9.5, 10, 20, 21]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(what=st.sampled_from(OUTCOMES), times=st.integers(1, 3))
    def calls_end(self, what: What, times: int) -> None:
        for _ in range(times):
            self.breaker.hear(what, "", self.now)
            self.model.hear(what, "", self.now)

    @rule(permit=st.sampled_from("abc"), process=st.sampled_from(["one", "two"]))
    def somebody_asks(self, permit: str, process: str) -> None:
        admitted = self.breaker.admit(permit, process, self.now)
        assert admitted == self.model.admit(permit, process, self.now)

    @rule(permit=st.sampled_from("abc"), what=st.sampled_from(OUTCOMES))
    def a_probe_ends(self, permit: str, what: What) -> None:
        self.breaker.hear(what, permit, self.now)
        self.model.hear(what, permit, self.now)

    @rule(process=st.sampled_from(["one", "two"]))
    def a_process_ends(self, process: str) -> None:
        self.breaker.bereave(process)
        self.model.bereave(process)

    @rule(order=st.sampled_from(["open", "close", "reset"]))
    def an_operator_orders(self, order: BreakerOrder) -> None:
        self.breaker.obey(order, self.now)
        if order == "open":
            self.model.open(self.now, held=True)
        elif order == "reset" or self.model.state(self.now) != "closed":
            self.model.close()

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.look(self.now) == self.model.state(self.now)
        assert {probe.permit for probe in self.breaker.probes} == set(self.model.probes)
        assert not self.breaker.probes or self.breaker.state == "half_open"


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase


def test_five_consecutive_failures_within_a_minute_open_it_for_a_minute() -> None:
    breaker = Breaker(SEED)
    for second in range(4):
        breaker.hear("failed", "", float(second))
        assert breaker.admit("", "", float(second))
    breaker.hear("failed", "", 60.0)
    assert breaker.state == "open"
    assert not breaker.admit("", "", 119.9)
    assert breaker.look(119.9) == "open"
    assert breaker.look(120.0) == "half_open"


def test_failures_older_than_the_window_open_nothing() -> None:
    breaker = Breaker(SEED)
    for second in (0.0, 1.0, 2.0, 3.0, 60.5, 61.5):
        breaker.hear("failed", "", second)
        assert breaker.state == "closed"


def test_a_success_between_failures_begins_the_count_anew() -> None:
    breaker = Breaker(SEED)
    for _ in range(3):
        for _ in range(4):
            breaker.hear("failed", "", 0.0)
        breaker.hear("answered", "", 0.0)
    assert breaker.state == "closed"
    assert breaker.failing == 0


def test_a_provider_that_cuts_every_answer_is_given_up() -> None:
    breaker = Breaker(SEED)
    for _ in range(5):
        breaker.hear("answered", "", 0.0)
        breaker.hear("broke", "", 0.0)
    assert breaker.state == "open"


def test_a_whole_answer_between_cut_ones_begins_the_count_anew() -> None:
    breaker = Breaker(SEED)
    for _ in range(8):
        breaker.hear("broke", "", 0.0)
        breaker.hear("ended", "", 0.0)
    assert breaker.state == "closed"


def test_one_single_probe_is_let_through_and_its_first_content_closes() -> None:
    breaker = opened()
    assert [breaker.admit(each, "", 60.0) for each in "abc"] == [True, False, False]
    breaker.hear("answered", "a", 61.0)
    assert breaker.state == "closed"
    assert breaker.admit("b", "", 61.0)


def test_a_probe_that_fails_opens_it_for_another_cooldown() -> None:
    breaker = opened()
    assert breaker.admit("a", "", 65.0)
    breaker.hear("failed", "a", 70.0)
    assert (breaker.state, breaker.blocked_until()) == ("open", 130.0)


def test_what_others_report_while_it_is_half_open_decides_nothing() -> None:
    breaker = opened()
    assert breaker.admit("a", "", 60.0)
    for what in OUTCOMES:
        breaker.hear(what, "", 61.0)
        breaker.hear(what, "stranger", 61.0)
    assert breaker.state == "half_open"


@pytest.mark.parametrize("end", ["given back", "died"])
def test_a_probe_without_an_outcome_makes_room_for_the_next(end: str) -> None:
    breaker = opened()
    assert breaker.admit("a", "one", 60.0)
    if end == "died":
        breaker.bereave("one")
    else:
        breaker.hear("released", "a", 61.0)
    assert breaker.state == "half_open"
    assert breaker.admit("b", "two", 61.0)


def test_a_probe_that_is_silent_for_a_cooldown_wedges_nothing_and_may_still_succeed() -> None:
    breaker = opened()
    assert breaker.admit("lost", "", 60.0)
    assert not breaker.admit("b", "", 119.0)
    assert breaker.admit("b", "", 120.0)
    assert not breaker.admit("c", "", 121.0)
    breaker.hear("answered", "lost", 122.0)
    assert breaker.state == "closed"


def test_an_operators_open_holds_until_it_is_closed_or_reset() -> None:
    breaker = Breaker(SEED)
    for order in ("close", "reset"):
        breaker.obey("open", 0.0)
        assert breaker.blocked_until() == inf
        assert breaker.look(1e9) == "open"
        breaker.obey(order, 1e9)
        assert (breaker.state, breaker.held) == ("closed", False)


def test_close_leaves_what_a_closed_one_has_counted_and_reset_forgets_it() -> None:
    breaker = Breaker(SEED)
    breaker.hear("failed", "", 0.0)
    breaker.obey("close", 1.0)
    assert breaker.failing == 1
    breaker.obey("reset", 2.0)
    assert breaker.failing == 0


def test_another_cooldown_holds_for_what_is_open_already() -> None:
    breaker = opened()
    breaker.settings = FEW
    assert breaker.look(19.0) == "open"
    assert breaker.look(20.0) == "half_open"


def test_one_that_is_switched_off_is_closed_whatever_happened_before_and_stays_so() -> None:
    breaker = opened()
    breaker.obey("open", 1.0)
    breaker.settings = replace(SEED, enabled=False)
    assert (breaker.look(2.0), breaker.held, breaker.blocked_until()) == ("closed", False, 0.0)
    for at in range(10):
        breaker.hear("failed", "", 3.0 + at)
        breaker.hear("broke", "", 3.0 + at)
        breaker.obey("open", 3.0 + at)
    assert (breaker.look(20.0), breaker.failing) == ("closed", 0)
    breaker.settings = SEED
    assert breaker.look(21.0) == "closed"


def test_from_each_state_there_are_only_the_ways_of_the_table() -> None:
    assert {(before, after) for (before, _), after in TRANSITIONS.items()} == {
        ("closed", "open"),
        ("open", "open"),
        ("open", "half_open"),
        ("open", "closed"),
        ("half_open", "closed"),
        ("half_open", "open"),
    }
