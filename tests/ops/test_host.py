"""What a host does to its workers, with such as are the test's in the real ones' place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock

from sluice.actors.breakers.circuits import Verdict
from sluice.actors.metrics.merging import Extracted, Share
from sluice.actors.metrics.samplers import breaker_sampler
from sluice.actors.metrics.tally import Delta
from sluice.actors.settings import ConnectionSettings, ModelSettings, ProviderSettings
from sluice.engine import AskTimeout, Done, Event, ProcessStatistics, SupervisorSpec, System
from sluice.ops.config import Config, ServerSettings
from sluice.ops.host import Host
from sluice.ops.place import identity
from sluice.ops.reload import plan
from sluice.ops.rolling import WORKERS, Interrupted, Rolling

OLD = Config(connections=ConnectionSettings(limit=10))
NEW = Config(
    connections=ConnectionSettings(limit=20),
    providers={"late": ProviderSettings("late", "http://127.0.0.1:9")},
    models={"m": ModelSettings("m", "late")},
)


class FakeRolling:
    """Replaces two workers, as far as it gets; notes what configuration each round was for."""

    def __init__(self, host: Host, *gets_to: int) -> None:
        self.host = host
        self.gets_to = list(gets_to)
        self.rounds: list[Config] = []

    async def all(self) -> Done:
        self.rounds.append(worker_has(self.host))
        replaced = self.gets_to.pop(0)
        if replaced < 2:
            raise Interrupted("worker-2 goes on as it was", replaced)
        return Done("restarted", "workers", "running", 1, "", 0.1)


def worker_has(host: Host) -> Config:
    """The configuration of a worker that starts now."""
    descriptor = host._configuration
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    return msgspec.msgpack.decode(content, type=Config)


class FakeWorker:
    """A system with one worker, which takes ``needs`` seconds to drain."""

    def __init__(self, host: Host, needs: float) -> None:
        self.host = host
        self.needs = needs
        self.stopped: dict[str, float] = {}
        """Each with the seconds that its process has, once it is asked."""

    def process(self, name: str) -> ProcessStatistics:
        return ProcessStatistics(name, 7, 1, 0, "", ())

    def ref(self, _path: str) -> FakeWorker:
        return self

    async def ask(self, _message: object, timeout: float) -> None:
        await trio.sleep(min(timeout, self.needs))
        if self.needs > timeout:
            raise AskTimeout("drain", "no answer")

    async def stop(self, path: str) -> None:
        name = path.rpartition("/")[2]
        self.stopped[name] = self.host.links.launches(name).patience - trio.current_time()

    def hurry(self, _seconds: float) -> None: ...


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host(OLD, [], 2)
    yield made
    made.close()


def rolling(host: Host, *gets_to: int) -> FakeRolling:
    fake = FakeRolling(host, *gets_to)
    host.rolling = cast("Rolling", cast("Any", fake))
    return fake


async def test_workers_are_replaced_by_such_as_have_the_new_configuration(host: Host) -> None:
    fake = rolling(host, 2)
    await host.adopt(plan(OLD, NEW, several=True))
    assert fake.rounds == [NEW]
    assert host.config == NEW
    assert host.slots.limit == 20
    assert "late" in host.tally.known.providers


async def test_the_breaker_of_a_provider_that_came_later_is_counted_by_its_name(host: Host) -> None:
    rolling(host, 2)
    await host.adopt(plan(OLD, NEW, several=True))
    circuits = host.breakers.circuits
    circuits.hear(Verdict("late", "failed"), trio.current_time())
    circuits.obey(["late"], "open", trio.current_time())
    breaker_sampler(circuits, host.config.routing.guards)(host.own)
    assert host.own.value("sse_circuit_breaker_state", ("late",)) == 2
    assert host.own.value("sse_circuit_breaker_model_state", ("late", "m")) == 2
    assert host.own.value("sse_circuit_breaker_failures_total", ("late",)) == 1


@pytest.mark.parametrize("workers", [1, 16])
def test_all_workers_may_fall_at_once_three_times_before_any_other_is_taken_down(
    workers: int,
) -> None:
    made = Host(OLD, [], workers)
    made.close()
    spec = next(each for each in made.tree().children if each.id == WORKERS)
    assert isinstance(spec, SupervisorSpec)
    assert (spec.intensity, spec.period) == (3 * workers, 5.0)


class StoppedActors:
    """A system of which an operator has stopped every actor: what they are told is lost."""

    def ref(self, _path: str) -> StoppedActors:
        return self

    def tell_nowait(self, _message: object) -> None: ...


def test_a_process_that_ended_is_forgotten_also_if_the_metrics_are_stopped_then(
    host: Host,
) -> None:
    host.opened(cast("System", cast("Any", StoppedActors())))
    share = Share(1, Extracted(Delta(), {"sse_queue_depth": [(("overflow",), 5.0)]}))
    for name in ("worker-1", "worker-2"):
        host.whole.take(identity(name, 1), share, 0.0)
    host.on_event(Event(kind="process_signalled", path="workers/worker-1", generation=1, at=0.0))
    assert set(host.whole.numbers()) == {"worker-1#1", "worker-2#1"}
    host.on_event(Event(kind="process_killed", path="workers/worker-1", generation=1, at=0.0))
    assert set(host.whole.numbers()) == {"worker-2#1"}


async def test_what_is_live_replaces_no_worker_and_is_there_for_the_next(host: Host) -> None:
    fake = rolling(host)
    wider = msgspec.structs.replace(OLD, connections=ConnectionSettings(limit=30))
    await host.adopt(plan(OLD, wider, several=True))
    assert fake.rounds == []
    assert host.slots.limit == 30
    assert worker_has(host) == wider


@pytest.mark.parametrize(("gets_to", "rounds"), [([0], [NEW]), ([1, 2], [NEW, OLD])])
async def test_if_one_cannot_be_replaced_all_have_the_old_configuration_again(
    host: Host, gets_to: list[int], rounds: list[Config]
) -> None:
    fake = rolling(host, *gets_to)
    with pytest.raises(Interrupted, match="goes on as it was"):
        await host.adopt(plan(OLD, NEW, several=True))
    assert fake.rounds == rounds
    assert host.config == OLD == worker_has(host)
    assert host.slots.limit == 10


@pytest.mark.parametrize(("needs", "left"), [(0, 15), (8, 7), (9.5, 6), (3600, 0)])
async def test_a_worker_that_did_not_leave_within_its_drain_has_no_second_one(
    host: Host,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    needs: float,
    left: float,
) -> None:
    fake = FakeWorker(host, needs)
    monkeypatch.setattr(host, "process", fake.process)
    host.system = cast("System", cast("Any", fake))
    host.config = msgspec.structs.replace(OLD, server=ServerSettings(drain=10))
    await host.drain()
    assert fake.stopped == pytest.approx({"worker-1": left, "worker-2": left})
