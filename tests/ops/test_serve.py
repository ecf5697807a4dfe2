"""What signals do to a run of the service, with a worker of the test's in the real one's place."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from sluice.engine import StartFailed
from sluice.ops import serve
from sluice.ops.config import Config, ServerSettings
from sluice.ops.ending import FORCE
from sluice.ops.notify import Notifier
from sluice.ops.worker import Worker, open_worker


class FakeWorker:
    """A worker whose start lasts until ``ready``; it notes what it was told."""

    addresses = ("127.0.0.1:1",)
    config = Config()

    def __init__(self) -> None:
        self.entered = trio.Event()
        self.ready = trio.Event()
        self.drained = trio.Event()
        self.fault: Exception | None = None
        self.notes: list[str] = []

    @asynccontextmanager
    async def open(self, *_: object) -> AsyncIterator[Worker]:
        self.entered.set()
        try:
            await self.ready.wait()
            if self.fault is not None:
                raise self.fault
            self.notes.append("serving")
            yield cast("Worker", self)
            self.notes.append("draining")
            await self.drained.wait()
        except trio.Cancelled:
            self.notes.append("cancelled")
            raise
        finally:
            self.notes.append("closed")

    def hurry(self) -> None:
        self.notes.append("hurried")
        self.drained.set()


class Run:
    """A run that the test sends signals to."""

    def __init__(self, worker: FakeWorker) -> None:
        self.worker = worker
        config = Config(server=ServerSettings(workers=0))
        self.service = serve._Service(config, lambda: config, Notifier(None))
        self._send, self.signals = trio.open_memory_channel[int](0)

    async def signal(self, number: int) -> None:
        await self._send.send(number)
        await trio.testing.wait_all_tasks_blocked()

    async def go(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self.service.obey, self.signals)
        nursery.start_soon(self.service.run, [])
        await self.worker.entered.wait()
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    worker = FakeWorker()
    monkeypatch.setattr(serve, "open_worker", worker.open)
    monkeypatch.setattr(serve, "spare_the_collector", lambda: None)
    return Run(worker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_start_ends_it_in_order(
    run: Run, nursery: trio.Nursery, number: int
) -> None:
    await run.go(nursery)
    await run.signal(number)
    assert run.worker.notes == ["cancelled", "closed"]
    assert run.service.well


async def test_a_signal_begins_the_drain_and_a_second_one_ends_it(
    run: Run, nursery: trio.Nursery
) -> None:
    await run.go(nursery)
    run.worker.ready.set()
    await trio.testing.wait_all_tasks_blocked()
    await run.signal(signal.SIGTERM)
    assert run.worker.notes == ["serving", "draining"]
    assert run.service.well
    await run.signal(signal.SIGINT)
    assert run.worker.notes == ["serving", "draining", "hurried", "closed"]
    assert not run.service.well


async def test_a_signal_in_the_turn_in_which_the_start_ends_is_obeyed_in_order(
    run: Run, nursery: trio.Nursery
) -> None:
    run.worker.drained.set()
    await run.go(nursery)
    run.worker.ready.set()
    await run.signal(signal.SIGTERM)  # which of the two tasks is first is chance
    assert run.worker.notes[-1] == "closed"
    assert run.service.well


async def test_a_start_that_fails_is_no_orderly_end(run: Run, nursery: trio.Nursery) -> None:
    run.worker.fault = StartFailed("edge", "why")
    await run.go(nursery)
    run.worker.ready.set()
    await trio.testing.wait_all_tasks_blocked()
    assert not run.service.well
    assert run.worker.notes == ["closed"]


async def test_what_has_started_has_a_bound_to_stop_when_the_start_is_ended(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def for_ever(_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr("sluice.http.edge.Edge.on_start", for_ever)
    monkeypatch.setattr("sluice.actors.streams.streams.Streams.on_stop", for_ever)
    with trio.move_on_after(1) as start:
        async with open_worker(Config(), []):
            pytest.fail("it cannot be ready")
    assert start.cancelled_caught
    assert 1 + FORCE <= trio.current_time() < 1 + FORCE + 0.1
