"""The numbers of several processes come together, and outlive them."""

from __future__ import annotations

from tests.actors.test_metrics import KNOWN, REPORT, REQUESTS

from sluice.actors.accounting import Load, Rates, Window, updates
from sluice.actors.merging import Extracted, Share, Whole
from sluice.actors.tally import Tally

DEPTH = "sluice_mailbox_depth", ("edge",)


class Process:
    """One process, as far as its numbers go."""

    def __init__(self) -> None:
        self.tally = Tally(KNOWN)
        self.window = Window()
        self.window.begin(0.0)
        self.number = 0

    def serve(self, requests: int) -> None:
        for _ in range(requests):
            self.tally.apply(updates(REPORT))
            self.window.add(30.0, REPORT)

    def share(self) -> Share:
        self.number += 1
        load = self.window.load(30.0)
        return Share(self.number, Extracted(self.tally.drain(), self.tally.gauges(), load))


def test_counts_add_up_and_stay_when_their_process_has_ended() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    one.serve(3)
    two.serve(4)
    whole.take("one", one.share())
    whole.take("two", two.share())
    one.serve(2)
    whole.take("one", one.share())
    whole.forget("one")
    whole.settle()
    assert whole.tally.value(*REQUESTS) == 9
    assert whole.tally.value("sse_provider_latency_seconds", ("openai",)) == 9


def test_a_share_that_is_told_twice_counts_once() -> None:
    one, whole = Process(), Whole(Tally(KNOWN))
    one.serve(3)
    share = one.share()
    assert whole.take("one", share)
    assert not whole.take("one", share)
    assert whole.tally.value(*REQUESTS) == 3


def test_a_process_that_follows_another_of_its_name_begins_to_number_anew() -> None:
    whole = Whole(Tally(KNOWN))
    for _ in range(3):
        process = Process()
        process.serve(1)
        assert whole.take("one", process.share())
        whole.forget("one")
    assert whole.tally.value(*REQUESTS) == 3


def test_gauges_are_the_sum_of_those_that_live() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    one.tally.apply([(*DEPTH, 5)])
    two.tally.apply([(*DEPTH, 7)])
    whole.take("one", one.share())
    whole.take("two", two.share())
    whole.settle()
    assert whole.tally.value(*DEPTH) == 12
    whole.forget("two")
    whole.settle()
    assert whole.tally.value(*DEPTH) == 5
    whole.forget("one")
    whole.settle()
    assert whole.tally.value(*DEPTH) == 0


def test_what_makes_no_sum_is_combined_as_it_does_make_sense() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    for process, started in ((one, 100.0), (two, 90.0)):
        process.tally.apply([("sluice_build_info", ("1.2.3",), 1.0)])
        process.tally.apply([("process_start_time_seconds", (), started)])
    whole.take("one", one.share())
    whole.take("two", two.share())
    whole.settle()
    assert whole.tally.value("sluice_build_info", ("1.2.3",)) == 1
    assert whole.tally.value("process_start_time_seconds") == 90


def test_the_load_is_that_of_all_that_live() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    one.serve(30)
    two.serve(60)
    whole.take("one", one.share())
    whole.take("two", two.share())
    assert whole.rates() == Rates(3.0, 0.0)
    whole.forget("two")
    assert whole.rates() == Rates(1.0, 0.0)


def test_nobody_is_no_load() -> None:
    assert Whole(Tally(KNOWN)).rates() == Rates(0.0, 0.0)
    assert Load().requests == 0
