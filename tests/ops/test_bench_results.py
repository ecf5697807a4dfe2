"""The figures of `sluice bench`: medians, percentiles, ratios within a round."""

from __future__ import annotations

import pytest

from sluice.ops.bench import results
from sluice.ops.bench.results import (
    Ask,
    Cost,
    FamilyCost,
    FirstChunk,
    Machine,
    OpenStreams,
    Results,
    Spread,
)

MACHINE = Machine(2, "3.11", optimized=True, kernel="6.1", descriptors=20000, one_core=False)


def costs(*microseconds: float) -> list[Cost]:
    return [Cost(each, 1000, 0.95) for each in microseconds]


def test_a_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert results.spread([5, 1, 3]) == Spread(3, 1, 5)
    assert results.spread([2]) == Spread(2, 2, 2)


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.99, 99), (1, 100), (0, 1)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    part: float, value: float
) -> None:
    assert results.percentile(list(range(100, 0, -1)), part) == value


def test_a_cost_ratio_is_taken_round_by_round() -> None:
    found = Results(
        MACHINE, costs={"paced": {"Sluice": costs(200, 400, 900), "nginx": costs(100, 200, 300)}}
    )
    assert results.cost_ratio(found, "paced", "Sluice", "nginx") == Spread(2, 2, 3)


def test_several_processes_are_compared_with_one_round_by_round() -> None:
    one, many = costs(100, 200), costs(120, 300)
    rounds = {
        "one": [FamilyCost(cost, cost.microseconds, 0, 0) for cost in one],
        "many": [FamilyCost(cost, 0, cost.microseconds, 0) for cost in many],
    }
    found = Results(MACHINE, workers={"paced": rounds})
    assert results.family_ratio(found.workers, "paced", "many", "one") == Spread(1.35, 1.2, 1.5)
    assert results.family_ratio(found.workers, "at-once", "many", "one") is None


def test_the_busiest_process_is_told_by_its_part_of_all_streams() -> None:
    found = Results(MACHINE, spread={"at once": [[32, 32], [48, 16], [64]], "never": []})
    assert results.busiest(found) == {"at once": Spread(0.75, 0.5, 1)}


def test_there_is_no_ratio_to_somebody_who_did_not_take_part() -> None:
    found = Results(MACHINE, costs={"paced": {"Sluice": costs(200)}})
    assert results.cost_ratio(found, "paced", "Sluice", "Envoy") is None
    assert results.cost_ratio(found, "at-once", "Sluice", "Envoy") is None


def test_time_to_first_chunk_added_is_the_difference_to_the_upstream_in_the_same_round() -> None:
    found = Results(
        MACHINE,
        first_chunk={
            "direct": [FirstChunk(1, 2), FirstChunk(5, 9)],
            "Sluice": [FirstChunk(1.5, 3), FirstChunk(5.5, 12)],
        },
    )
    assert results.added(found, "Sluice") == (Spread(0.5, 0.5, 0.5), Spread(2, 1, 3))
    assert results.added(found, "nginx") is None


def test_an_ask_is_told_in_checkpoints() -> None:
    found = Results(MACHINE, asks=[Ask(4, 24), Ask(2, 14), Ask(3, 15)])
    assert results.ask_ratio(found) == Spread(6, 5, 7)
    assert results.ask_ratio(Results(MACHINE)) is None


def test_a_stream_that_did_not_open_stay_and_end_well_is_lost() -> None:
    assert OpenStreams(100, 100, 100, 100, 10, 1, 99).lost == 0
    assert OpenStreams(100, 99, 98, 97, 10, 1, 99).lost == 3
