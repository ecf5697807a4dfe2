"""The leases of a replica: never more than the limit, and no slot lost, whatever gets lost."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sluice.actors.slots.leases import Kept, Leases


def lend(leases: Leases, process: str, number: int) -> int | None:
    return leases.lend(process, number, number - 1)


def test_a_lease_grows_by_half_of_a_fair_share_of_what_is_free_and_at_last_one_by_one() -> None:
    leases = Leases(20, 0.8, sharers=2)
    sizes = [lend(leases, "one", number) for number in range(1, 16)]
    assert sizes == [5, 8, 11, 13, 14, 15, 16, 17, 18, 19, 20, None, None, None, None]
    assert leases.lent == leases.limit


def test_what_a_process_gives_back_another_can_have() -> None:
    leases = Leases(2, 0.8, sharers=2)
    assert (lend(leases, "one", 1), lend(leases, "one", 2)) == (1, 2)
    assert lend(leases, "two", 1) is None
    leases.keep("one", Kept(turn=1, size=1, used=1, settled=2))
    assert lend(leases, "two", 2) == 1


def test_what_was_granted_and_never_heard_of_comes_back_with_the_next_request() -> None:
    leases = Leases(8, 0.8, sharers=1)
    assert leases.lend("one", 1, 0) == 4
    assert leases.lend("one", 2, 0) == 4
    assert leases.lent == 4


def test_what_is_on_its_way_counts_beside_what_a_process_says_that_it_has() -> None:
    leases = Leases(8, 0.8, sharers=1)
    leases.lend("one", 1, 0)
    leases.keep("one", Kept(turn=1, size=0, used=0, settled=0))
    assert leases.lent == 4
    leases.keep("one", Kept(turn=2, size=0, used=0, settled=1))
    assert leases.lent == 0


def test_what_was_told_before_counts_no_more_when_it_comes_late() -> None:
    leases = Leases(8, 0.8, sharers=1)
    leases.lend("one", 1, 0)
    leases.keep("one", Kept(turn=2, size=1, used=1, settled=1))
    leases.keep("one", Kept(turn=1, size=4, used=0, settled=1))
    assert (leases.lent, leases.by_process()) == (1, {"one": 1})


def test_the_lease_of_a_process_that_ended_is_free_and_what_it_said_is_forgotten() -> None:
    leases = Leases(4, 0.5, sharers=1)
    leases.lend("one", 1, 0)
    leases.keep("one", Kept(turn=1, size=2, used=2, settled=1))
    assert leases.above_soft_limit
    assert leases.bereave("one") == 2
    leases.keep("one", Kept(turn=2, size=2, used=2, settled=1))
    assert (leases.lent, len(leases), leases.has("one")) == (0, 0, False)
    assert leases.bereave("one") == 0
    assert leases.lost == 2


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Leases(0, 0.8, sharers=2)


def test_above_a_lowered_limit_nothing_is_lent() -> None:
    leases = Leases(8, 0.8, sharers=1)
    leases.lend("one", 1, 0)
    leases.resize(3, 0.8)
    assert lend(leases, "one", 2) is None
    assert leases.lent == 4


PROCESSES = st.sampled_from(["one", "two", "three"])


class Worker:
    """A process, as `borrowing.Lease` behaves."""

    def __init__(self) -> None:
        self.size = self.used = self.number = self.heard = self.turn = 0
        self.answer: int | None = None
        self.asking = False


class LeasesAndWorkers(RuleBasedStateMachine):
    """Answers arrive late, or are given up on; workers end in between."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = Leases(7, 0.8, sharers=3)
        self.workers = {name: Worker() for name in ("one", "two", "three")}

    @rule(name=PROCESSES)
    def asks(self, name: str) -> None:
        worker = self.workers[name]
        if not worker.asking:
            worker.number += 1
            worker.asking = True
            worker.answer = self.leases.lend(name, worker.number, worker.heard)

    @rule(name=PROCESSES, given_up=st.booleans())
    def is_answered(self, name: str, given_up: bool) -> None:
        worker = self.workers[name]
        if worker.asking and not given_up:
            worker.heard = worker.number
            worker.size = worker.answer or worker.size
        worker.asking = False

    @rule(name=PROCESSES, more=st.booleans())
    def uses(self, name: str, more: bool) -> None:
        worker = self.workers[name]
        if more and worker.used < worker.size:
            worker.used += 1
        elif not more and worker.used:
            worker.used -= 1

    @rule(name=PROCESSES)
    def gives_back(self, name: str) -> None:
        """As `borrowing.Borrower` does: not while an answer is on its way."""
        worker = self.workers[name]
        if not worker.asking:
            worker.size -= (worker.size - worker.used + 1) // 2
            self.tells(name)

    @rule(name=PROCESSES)
    def tells(self, name: str) -> None:
        worker = self.workers[name]
        worker.turn += 1
        settled = worker.heard if worker.asking else worker.number
        self.leases.keep(name, Kept(worker.turn, worker.size, worker.used, settled))

    @rule(name=PROCESSES)
    def ends(self, name: str) -> None:
        self.leases.bereave(name)
        self.workers[name] = Worker()

    @invariant()
    def no_more_is_lent_than_there_is(self) -> None:
        assert self.leases.lent <= self.leases.limit

    @invariant()
    def nobody_has_more_than_is_lent(self) -> None:
        assert sum(worker.size for worker in self.workers.values()) <= self.leases.lent

    @invariant()
    def nothing_is_stranded(self) -> None:
        """When all have heard and told, what is lent is what they have."""
        if not any(worker.asking for worker in self.workers.values()):
            for name in self.workers:
                self.tells(name)
            assert self.leases.lent == sum(worker.size for worker in self.workers.values())


TestLeasesAndWorkers = LeasesAndWorkers.TestCase
