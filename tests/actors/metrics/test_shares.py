"""Workers give their shares, and the host renders what all of them counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from tests.actors.metrics.test_metrics import KNOWN, REPORT, REQUESTS

from sluice.actors.metrics.accounting import Window
from sluice.actors.metrics.ledger import Ledger
from sluice.actors.metrics.merging import Whole
from sluice.actors.metrics.metrics import Figures, Metrics, Render
from sluice.actors.metrics.outbox import WAITING, Outbox
from sluice.actors.metrics.shares import INTERVAL, UNASKED, Collector, GiveShares, ShareGiver
from sluice.actors.metrics.tally import Tally
from sluice.engine import ChildSpec, Ref, SupervisorSpec, System, open_system

LINE = 'sse_requests_total{model="gpt-4",provider="openai",status="success"}'


class Replica:
    """A host and its workers, in one system."""

    def __init__(self, workers: int) -> None:
        self.whole, self.own, self.outbox = Whole(Tally(KNOWN)), Tally(KNOWN), Outbox()
        self.names = [f"w{number}" for number in range(workers)]
        self.tallies = {name: Tally(KNOWN) for name in self.names}
        self.ledgers = {name: Ledger() for name in self.names}
        self.outboxes = {name: Outbox(name) for name in self.names}
        self.system: System

    def givers(self) -> list[Ref]:
        return [self.system.ref(f"{name}/shares") for name in self.names]

    def tree(self) -> SupervisorSpec:
        workers = [SupervisorSpec(name, self._worker(name)) for name in self.names]
        return SupervisorSpec("root", [ChildSpec("metrics", self._collector), *workers])

    def _collector(self) -> Collector:
        return Collector(self.whole, self.own, self.outbox, (), self.givers)

    def _worker(self, name: str) -> list[ChildSpec]:
        window = Window()

        def metrics() -> Metrics:
            outbox = self.outboxes[name]
            return Metrics(self.tallies[name], window, self.ledgers[name], (), outbox=outbox)

        def shares() -> ShareGiver:
            return ShareGiver(self.outboxes[name], f"{name}/metrics", "metrics")

        return [ChildSpec("metrics", metrics), ChildSpec("shares", shares)]

    async def rendered(self) -> float:
        text = (await self.system.ref("metrics").ask(Render(openmetrics=False))).text.decode()
        (line,) = [line for line in text.splitlines() if line.startswith(LINE)]
        return float(line.rpartition(" ")[2])

    @property
    def counted(self) -> float:
        return self.whole.tally.value(*REQUESTS)


@asynccontextmanager
async def replica(workers: int = 2) -> AsyncIterator[Replica]:
    made = Replica(workers)
    async with open_system(made.tree()) as made.system:
        yield made


async def test_a_scrape_has_what_all_have_counted_up_to_it() -> None:
    async with replica() as at:
        for expected in (2, 4, 6):
            for ledger in at.ledgers.values():
                ledger.enter(REPORT)
            assert await at.rendered() == expected


async def test_shares_are_collected_also_if_nobody_scrapes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        at.ledgers["w0"].enter(REPORT)
        await trio.sleep(2 * INTERVAL)
        assert at.counted == 1


async def test_a_worker_that_does_not_answer_holds_up_no_scrape(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        at.ledgers["w0"].enter(REPORT)
        at.ledgers["w1"].enter(REPORT)
        await at.rendered()
        await at.system.pause("w0/shares")
        at.ledgers["w0"].enter(REPORT)
        at.ledgers["w1"].enter(REPORT)
        before = trio.current_time()
        assert await at.rendered() == 3
        assert trio.current_time() - before < 1
        await at.system.resume("w0/shares")
        assert await at.rendered() == 4


@pytest.mark.parametrize("path", ["w0/metrics", "w0/shares", "metrics"])
async def test_a_restart_of_any_of_them_loses_and_doubles_nothing(path: str) -> None:
    async with replica() as at:
        for round_ in range(3):
            at.ledgers["w0"].enter(REPORT)
            if round_ == 1:
                await at.rendered()
            await at.system.restart(path)
            at.ledgers["w1"].enter(REPORT)
        assert await at.rendered() == 6


async def test_a_worker_that_stops_gives_its_last_share() -> None:
    async with replica() as at:
        at.ledgers["w0"].enter(REPORT)
        await at.system.stop("w0")
        assert at.counted == 1


async def test_a_reply_that_was_lost_is_given_again_and_counts_once() -> None:
    async with replica() as at:
        giver = at.system.ref("w0/shares")
        at.ledgers["w0"].enter(REPORT)
        lost = await giver.ask(GiveShares({}))
        assert len(lost.shares) == 1
        at.ledgers["w0"].enter(REPORT)
        assert await at.rendered() == 2
        assert await at.rendered() == 2
        assert at.whole.numbers()["w0"] >= 2


async def test_shares_that_nobody_takes_are_bounded_and_what_they_count_is_kept() -> None:
    async with replica() as at:
        giver = at.system.ref("w0/shares")
        for _ in range(3 * WAITING):
            at.ledgers["w0"].enter(REPORT)
            given = await giver.ask(GiveShares({"another": 100}))
            assert len(given.shares) <= WAITING
        await at.rendered()
        assert await at.rendered() == 3 * WAITING


async def test_gauges_of_a_worker_that_ended_vanish_and_its_counts_stay() -> None:
    async with replica() as at:
        at.ledgers["w0"].enter(REPORT)
        at.tallies["w0"].apply([("sse_queue_depth", ("overflow",), 5)])
        await at.rendered()
        assert at.whole.tally.value("sse_queue_depth", ("overflow",)) == 5
        at.names.remove("w0")
        at.whole.forget("w0")
        assert await at.rendered() == 1
        assert at.whole.tally.value("sse_queue_depth", ("overflow",)) == 0


async def test_the_load_of_the_replica_is_that_of_all_workers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await trio.sleep(100)
        for ledger in at.ledgers.values():
            for _ in range(60):
                ledger.enter(REPORT)
        vitals = await at.system.ref("metrics").ask(Figures())
        assert vitals.requests_per_second == 2.0


async def test_a_worker_that_nobody_asks_gives_by_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        at.names.remove("w0")  # another one has taken its place, and it drains
        at.ledgers["w0"].enter(REPORT)
        await trio.sleep(2 * UNASKED)
        assert at.counted == 1
        assert at.outboxes["w0"].shares == []
        at.ledgers["w0"].enter(REPORT)
        await at.system.stop("w0")
        assert at.counted == 2


async def test_what_was_made_too_late_for_who_asked_is_not_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.system.pause("w0/metrics")
        at.ledgers["w0"].enter(REPORT)
        assert await at.rendered() == 0
        await at.system.resume("w0/metrics")
        await at.system.restart("w0/shares")
        assert await at.rendered() == 1
        assert await at.rendered() == 1


async def test_the_event_loop_of_the_host_is_watched_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica(0) as at:
        await trio.sleep(10.5)
        await at.system.ref("metrics").ask(Render(openmetrics=False))
        assert at.whole.tally.value("sluice_loop_delay_seconds") == 10
