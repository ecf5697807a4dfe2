"""What the processes of a service took, as `sluice bench` tells them apart."""

from __future__ import annotations

import os

import pytest

from sluice.ops.bench import family
from sluice.ops.bench.family import Used
from sluice.ops.bench.load import Load
from sluice.ops.bench.results import Scrape

HOST, STORE, ONE, OTHER = 10, 11, 12, 13


def test_what_each_process_took_is_the_difference_between_two_looks() -> None:
    before = {HOST: 1.0, STORE: 2.0, ONE: 3.0, OTHER: 4.0}
    after = {HOST: 1.5, STORE: 2.25, ONE: 4.0, OTHER: 6.0}
    used = family.used(HOST, [STORE], before, after)
    assert used == Used(first=0.5, workers=[1.0, 2.0], store=0.25)
    assert used.total == 3.75


def test_a_worker_that_was_started_in_between_has_taken_all_it_has() -> None:
    assert family.used(HOST, [], {HOST: 1.0}, {HOST: 1.0, ONE: 0.5}).workers == [0.5]


def test_a_watch_sees_that_time_is_used() -> None:
    watch = family.Watch(os.getpid())
    while watch.used().first == 0:
        sum(range(10_000))
    assert watch.used().store == 0


def test_a_requests_cost_is_that_of_all_processes_and_says_whose() -> None:
    load = Load(requests=1000, microseconds=2_000_000, bytes=1, errors=0, broken=0)
    found = family.cost(Used(0.2, [0.5, 0.4], 0.1), load)
    assert found.cost.microseconds == pytest.approx(1200)
    assert found.cost.per_second == 500
    assert found.cost.busy == pytest.approx(0.6)
    assert (found.first, found.workers, found.store) == pytest.approx((200, 900, 100))


def test_the_worker_that_answers_a_scrape_is_the_one_that_took_most() -> None:
    assert family.scrape(Used(0.1, [0.2, 0.4], 0.0), 100) == Scrape(worker=4, others=2, host=1)
