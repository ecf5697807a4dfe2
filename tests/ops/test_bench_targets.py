"""Whether a run of `sluice bench` reached its targets."""

from __future__ import annotations

import pytest

from sluice.ops.bench import targets
from sluice.ops.bench.results import (
    Ask,
    ChunkCost,
    Cost,
    FamilyCost,
    FirstChunk,
    LimitKeys,
    LinkAsk,
    Machine,
    OpenStreams,
    Results,
    Scrape,
    StoreOperation,
)
from sluice.ops.bench.verdict import Verdict

MACHINE = Machine(2, "3.11", optimized=True, kernel="6.1", descriptors=20000, one_core=False)


BOTH_KINDS = pytest.mark.parametrize(
    ("kind", "what"), [("at-once", "20 chunks at once"), ("paced", "20 chunks, 10 ms apart")]
)


def results(**measured: object) -> Results:
    found = Results(MACHINE)
    for name, value in measured.items():
        setattr(found, name, value)
    return found


def cost(kind: str, **microseconds: float) -> Results:
    return results(
        costs={kind: {name: [Cost(each, 1000, 1)] for name, each in microseconds.items()}}
    )


def judged(found: Results, part: str) -> Verdict:
    (verdict,) = [one for one in targets.verdicts(found) if one.target.startswith(part)]
    return verdict


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    verdicts = targets.verdicts(results())
    assert [one.reached for one in verdicts] == [None] * 18
    assert not targets.missed(verdicts)


@pytest.mark.parametrize(("ours", "reached"), [(250, True), (251, False)])
def test_chunks_at_once_may_cost_two_and_a_half_times_what_they_cost_nginx(
    *, ours: float, reached: bool
) -> None:
    verdict = judged(cost("at-once", nginx=100, Sluice=ours), "20 chunks at once: ")
    assert verdict.reached is reached
    assert verdict.found == f"{ours / 100:.2f} x nginx"


@pytest.mark.parametrize(
    ("ours", "envoy", "reached"), [(300, 100, True), (320, 200, True), (321, 200, False)]
)
def test_paced_chunks_may_cost_three_times_nginx_or_one_and_a_half_times_envoy(
    *, ours: float, envoy: float, reached: bool
) -> None:
    found = cost("paced", nginx=100, Envoy=envoy, Sluice=ours)
    assert judged(found, "20 chunks, 10 ms apart: ").reached is reached


@pytest.mark.parametrize(("kind", "limit"), [("at-once-tls", 450), ("paced-tls", 300)])
def test_an_https_upstream_has_limits_of_its_own(kind: str, limit: float) -> None:
    well = targets.verdicts(cost(kind, nginx=100, Sluice=limit))
    badly = targets.verdicts(cost(kind, nginx=100, Sluice=limit + 1))
    assert [one.reached for one in well if one.reached is not None] == [True]
    assert targets.missed(badly)


def test_time_to_the_first_chunk_is_judged_at_the_median_and_at_the_tail() -> None:
    found = results(
        first_chunk={"direct": [FirstChunk(1, 2)], "Sluice": [FirstChunk(1.9, 7.5)]},
    )
    assert judged(found, "time to first chunk added, P50").reached is True
    assert judged(found, "time to first chunk added, P99").reached is False


@pytest.mark.parametrize(
    ("streams", "reached"),
    [
        (OpenStreams(5000, 5000, 5000, 5000, 40, 3, 99), True),
        (OpenStreams(5000, 5000, 5000, 4999, 40, 3, 99), False),
        (OpenStreams(5000, 5000, 5000, 5000, 40.1, 3, 99), False),
        (OpenStreams(200, 200, 200, 200, 10, 1, 99), None),
    ],
)
def test_open_streams_must_all_live_and_be_small_and_few_prove_nothing(
    *, streams: OpenStreams, reached: bool | None
) -> None:
    found = results(open_streams={"Sluice": streams})
    assert judged(found, "5,000 open streams").reached is reached


def test_an_ask_may_cost_seven_checkpoints() -> None:
    assert judged(results(asks=[Ask(2, 14)]), "one ask").reached is True
    assert judged(results(asks=[Ask(2, 14.1)]), "one ask").reached is False


@BOTH_KINDS
@pytest.mark.parametrize(("many", "reached"), [(125, True), (126, False)])
def test_a_request_may_cost_a_quarter_more_with_two_workers(
    *, kind: str, what: str, many: float, reached: bool
) -> None:
    rounds = {
        "workers = 0": [FamilyCost(Cost(100, 1000, 1), 100, 0, 0)],
        "workers = 2": [FamilyCost(Cost(many, 1000, 1), 0, many, 0)],
    }
    verdict = judged(results(workers={kind: rounds}), f"{what}, workers = 2")
    assert verdict.reached is reached
    assert verdict.found == f"{many / 100:.2f} x"


@pytest.mark.parametrize(
    ("crowds", "reached"),
    [
        ({"at once": [[38, 26]], "one by one": [[32, 32]]}, True),
        ({"at once": [[32, 32]], "one by one": [[39, 25]]}, False),
        ({"at once": [[64]]}, False),
    ],
)
def test_of_long_streams_the_busier_worker_may_have_60_in_100_however_they_came(
    *, crowds: dict[str, list[list[int]]], reached: bool
) -> None:
    assert judged(results(spread=crowds), "64 long streams").reached is reached


@pytest.mark.parametrize(
    ("asking", "answering", "reached"), [(25, 25, True), (25.1, 10, False), (10, 25.1, False)]
)
def test_an_ask_to_another_process_may_cost_25_microseconds_on_either_side(
    *, asking: float, answering: float, reached: bool
) -> None:
    found = results(link_asks=[LinkAsk(asking, answering, 1000)])
    assert judged(found, "an ask to another process").reached is reached


def test_an_operation_of_the_store_may_cost_its_client_30_microseconds() -> None:
    assert judged(results(store=[StoreOperation(30, 99, 99)]), "an operation").reached is True
    assert judged(results(store=[StoreOperation(30.1, 1, 1)]), "an operation").reached is False


def test_a_scrape_may_cost_the_worker_that_answers_5_milliseconds() -> None:
    assert judged(results(scrapes=[Scrape(5, 9, 9)]), "a scrape").reached is True
    assert judged(results(scrapes=[Scrape(5.1, 1, 1)]), "a scrape").reached is False


@BOTH_KINDS
@pytest.mark.parametrize(("on", "reached"), [(115, True), (116, False)])
def test_breakers_and_limits_may_cost_15_in_100(
    *, kind: str, what: str, on: float, reached: bool
) -> None:
    rounds = {
        "off": [FamilyCost(Cost(100, 1000, 1), 100, 0, 0)],
        "on": [FamilyCost(Cost(on, 1000, 1), 60, 0, on - 60)],
    }
    verdict = judged(results(resilience={kind: rounds}), f"{what}, breakers and limits")
    assert verdict.reached is reached
    assert verdict.found == f"{on / 100:.2f} x"


def chunk(cost: float) -> list[ChunkCost]:
    return [ChunkCost(few=100, many=100 + 200 * cost, chunk=cost)]


def test_of_translated_chunks_the_dearest_may_cost_twice_one_of_the_clients_own_format() -> None:
    translated = {
        "openai": {"openai": chunk(2), "cohere": chunk(4)},
        "cohere": {"openai": chunk(9.9), "cohere": chunk(5)},
    }
    verdict = judged(results(translated=translated), "a translated chunk")
    assert verdict.reached is True
    assert verdict.found == "2.00 x (openai from cohere)"
    translated["cohere"]["openai"] = chunk(10.1)
    assert judged(results(translated=translated), "a translated chunk").reached is False


@pytest.mark.parametrize(
    ("keys", "reached"),
    [
        (LimitKeys(100_000, 100_000, 2.0, 9, 100_000, 0), True),
        (LimitKeys(100_000, 100_000, 2.1, 9, 100_000, 0), False),
        (LimitKeys(100_000, 100_000, 0.1, 9, 99_999, 1), False),
        (LimitKeys(100_000, 99_999, 0.1, 9, 99_999, 0), False),
        (LimitKeys(10_000, 10_000, 0.1, 9, 10_000, 0), None),
    ],
)
def test_many_callers_leave_the_worker_as_it_was_and_nothing_in_the_store(
    *, keys: LimitKeys, reached: bool | None
) -> None:
    assert judged(results(limit_keys=keys), "100,000 callers").reached is reached
