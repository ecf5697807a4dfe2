"""The numbers of several processes come together, and outlive them."""

from __future__ import annotations

from tests.actors.metrics.test_metrics import KNOWN, REPORT, REQUESTS

from sluice.actors.metrics.accounting import Load, Rates, Window, updates
from sluice.actors.metrics.catalog import ALL
from sluice.actors.metrics.merging import Extracted, Share, Whole
from sluice.actors.metrics.tally import Delta, Gauges, Tally

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
        load = self.window.take()
        return Share(self.number, Extracted(self.tally.drain(), self.tally.gauges(), load))


def test_counts_add_up_and_stay_when_their_process_has_ended() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    one.serve(3)
    two.serve(4)
    whole.take("one", one.share(), 30.0)
    whole.take("two", two.share(), 30.0)
    one.serve(2)
    whole.take("one", one.share(), 30.0)
    whole.forget("one")
    whole.settle()
    assert whole.tally.value(*REQUESTS) == 9
    assert whole.tally.value("sse_provider_latency_seconds", ("openai",)) == 9


def test_a_share_that_is_told_twice_counts_once() -> None:
    one, whole = Process(), Whole(Tally(KNOWN))
    one.serve(3)
    share = one.share()
    assert whole.take("one", share, 30.0)
    assert not whole.take("one", share, 30.0)
    assert whole.tally.value(*REQUESTS) == 3


def test_a_process_that_follows_another_of_its_name_begins_to_number_anew() -> None:
    whole = Whole(Tally(KNOWN))
    for _ in range(3):
        process = Process()
        process.serve(1)
        assert whole.take("one", process.share(), 30.0)
        whole.forget("one")
    assert whole.tally.value(*REQUESTS) == 3


def test_gauges_are_the_sum_of_those_that_live() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    one.tally.apply([(*DEPTH, 5)])
    two.tally.apply([(*DEPTH, 7)])
    whole.take("one", one.share(), 30.0)
    whole.take("two", two.share(), 30.0)
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
    whole.take("one", one.share(), 30.0)
    whole.take("two", two.share(), 30.0)
    whole.settle()
    assert whole.tally.value("sluice_build_info", ("1.2.3",)) == 1
    assert whole.tally.value("process_start_time_seconds") == 90


def test_the_load_is_that_of_all_also_of_those_that_ended_within_the_minute() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    whole.begin(0.0)
    one.serve(30)
    two.serve(60)
    whole.take("one", one.share(), 30.0)
    whole.take("two", two.share(), 30.0)
    assert whole.rates(30.0) == Rates(3.0, 0.0)
    whole.forget("two")
    assert whole.rates(30.0) == Rates(3.0, 0.0)
    assert whole.rates(91.0) == Rates(0.0, 0.0)


def test_nobody_is_no_load() -> None:
    assert Whole(Tally(KNOWN)).rates(0.0) == Rates(0.0, 0.0)
    assert Load().requests == 0


def test_two_that_are_in_a_state_are_in_that_state_together() -> None:
    one, two, whole = Process(), Process(), Whole(Tally(KNOWN))
    for name, process, state in (("one", one, 1), ("two", two, 1)):
        process.tally.apply([("sluice_store_state", (), state)])
        process.tally.apply([("sse_circuit_breaker_state", ("openai",), 2 * state)])
        whole.take(name, process.share(), 30.0)
    whole.settle()
    assert whole.tally.value("sluice_store_state") == 1
    assert whole.tally.value("sse_circuit_breaker_state", ("openai",)) == 2


def test_what_only_another_release_counts_is_left_out_and_told() -> None:
    whole, duration = Whole(Tally(KNOWN)), "sse_stream_duration_seconds"
    buckets = [1] * (len(ALL[duration].buckets) + 1)
    delta = Delta(
        {
            "sse_chunks_streamed_total": [(("openai",), 2.0), (("openai", "gpt-4"), 3.0)],
            "sluice_future_total": [((), 1.0)],
            "sse_active_connections": [((), 1.0)],
        },
        {
            "sse_provider_latency_seconds": [(("openai",), [1, 0], 0.5)],
            duration: [(("openai",), buckets, 5.0)],
        },
    )
    gauges: Gauges = {
        "sluice_future": [((), 1.0)],
        "sse_queue_depth": [((), 1.0), (("overflow",), 4.0)],
    }
    assert whole.take("new", Share(1, Extracted(delta, gauges)), 0.0)
    whole.settle()
    assert whole.tally.value("sse_chunks_streamed_total", ("openai",)) == 2
    assert whole.tally.value(duration, ("openai",)) == len(buckets)
    assert whole.tally.value("sse_queue_depth", ("overflow",)) == 4
    assert whole.foreign == 4
