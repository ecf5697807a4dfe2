"""The metrics actor counts what it is told, and loses nothing to its own end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
from tests.actors.metrics.told import a_report

from sluice.actors.metrics.accounting import Window
from sluice.actors.metrics.catalog import Known
from sluice.actors.metrics.ledger import Ledger
from sluice.actors.metrics.metrics import (
    ChunksStreamed,
    Count,
    Extract,
    Figures,
    Metrics,
    Observe,
    Render,
    SetGauge,
    Vitals,
)
from sluice.actors.metrics.outbox import Outbox
from sluice.actors.metrics.tally import Tally
from sluice.engine import ChildSpec, Message, Ref, SupervisorSpec, System, open_system

KNOWN = Known(
    providers=("openai", "anthropic"),
    models=(("openai", "gpt-4"), ("anthropic", "claude-3")),
    version="1.2.3",
)
REPORT = a_report()
REQUESTS = "sse_requests_total", ("success", "openai", "gpt-4")


@asynccontextmanager
async def metrics(
    tally: Tally,
    samplers: tuple[Callable[[Tally], None], ...] = (),
    ledger: Ledger | None = None,
    outbox: Outbox | None = None,
) -> AsyncIterator[System]:
    """A system with the metrics actor alone, on ``tally`` and ``ledger``."""
    window, reports = Window(), Ledger() if ledger is None else ledger
    child = ChildSpec("metrics", lambda: Metrics(tally, window, reports, samplers, outbox=outbox))
    async with open_system(SupervisorSpec("root", children=[child])) as system:
        yield system


async def settled(ref: Ref) -> Vitals:
    """What has been told before this was handled before it."""
    return await ref.ask(Figures())


async def test_a_report_moves_the_metrics_of_its_request() -> None:
    tally = Tally(KNOWN)
    ledger = Ledger()
    async with metrics(tally, ledger=ledger) as system:
        ref = system.ref("metrics")
        ledger.enter(REPORT)
        await settled(ref)
    assert tally.value(*REQUESTS) == 1
    assert tally.value("sse_provider_latency_seconds", ("openai",)) == 1


async def test_chunks_of_a_running_stream_and_of_its_report_add_up() -> None:
    tally = Tally(KNOWN)
    ledger = Ledger()
    async with metrics(tally, ledger=ledger) as system:
        ref = system.ref("metrics")
        ref.tell_nowait(ChunksStreamed({"openai": 400, "anthropic": 3}))
        ledger.enter(REPORT)
        await settled(ref)
    assert tally.value("sse_chunks_streamed_total", ("openai",)) == 407
    assert tally.value("sse_chunks_streamed_total", ("anthropic",)) == 3


async def test_it_counts_sets_and_observes_what_it_is_told() -> None:
    tally = Tally(KNOWN)
    async with metrics(tally) as system:
        ref = system.ref("metrics")
        ref.tell_nowait(Count("sse_rate_limit_exceeded_total", ("ip",)))
        ref.tell_nowait(Count("sse_queue_backpressure_retries_total", n=4))
        ref.tell_nowait(SetGauge("sse_circuit_breaker_state", ("openai",), 2))
        ref.tell_nowait(Observe("sse_stage_duration_seconds", ("cache_lookup", "L1_lookup"), 0.1))
        await settled(ref)
    assert tally.value("sse_rate_limit_exceeded_total", ("ip",)) == 1
    assert tally.value("sse_queue_backpressure_retries_total") == 4
    assert tally.value("sse_circuit_breaker_state", ("openai",)) == 2
    assert tally.value("sse_stage_duration_seconds", ("cache_lookup", "L1_lookup")) == 1


async def test_what_was_extracted_is_counted_elsewhere_from_then_on() -> None:
    tally, ledger, outbox = Tally(KNOWN), Ledger(), Outbox()
    async with metrics(tally, ledger=ledger, outbox=outbox) as system:
        ref = system.ref("metrics")
        for _ in range(3):
            ledger.enter(REPORT)
        await ref.ask(Extract())
        ledger.enter(REPORT)
        await settled(ref)
    (share,) = outbox.shares
    extracted = share.content
    elsewhere = Tally(KNOWN)
    elsewhere.merge(extracted.delta)
    assert (elsewhere.value(*REQUESTS), tally.value(*REQUESTS)) == (3, 1)
    assert extracted.load.requests == 3
    assert extracted.gauges is not None
    assert extracted.gauges["sluice_build_info"] == [(("1.2.3",), 1.0)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Count("sse_nothing_total"),
        lambda: Count("sse_active_connections"),
        lambda: Count("sse_rate_limit_exceeded_total"),
        lambda: Count("sse_rate_limit_exceeded_total", ("ip",), n=-1),
        lambda: SetGauge("sse_requests_total", ("success", "openai", "gpt-4"), 1),
        lambda: SetGauge("sse_active_connections", ("openai",), 1),
        lambda: Observe("sse_active_connections", (), 1),
    ],
)
def test_a_message_that_makes_no_sense_fails_where_it_is_made(
    make: Callable[[], Message[None]],
) -> None:
    with pytest.raises(ValueError, match="sse_"):
        make()


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
async def test_it_renders_what_it_counted(openmetrics: bool) -> None:
    ledger = Ledger()
    async with metrics(Tally(KNOWN), ledger=ledger) as system:
        ref = system.ref("metrics")
        ledger.enter(REPORT)
        exposition = (await ref.ask(Render(openmetrics=openmetrics))).text.decode()
    line = 'sse_requests_total{model="gpt-4",provider="openai",status="success"} 1.0'
    assert line in exposition.splitlines()
    assert 'sluice_build_info{version="1.2.3"} 1.0' in exposition.splitlines()
    assert exposition.endswith("# EOF\n") == openmetrics


async def test_others_run_while_it_renders() -> None:
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with metrics(Tally(KNOWN)) as system, trio.open_nursery() as nursery:
        nursery.start_soon(spin)
        await trio.lowlevel.checkpoint()
        before = turns
        await system.ref("metrics").ask(Render(openmetrics=True))
        assert turns - before > 10
        nursery.cancel_scope.cancel()


async def test_what_is_sampled_is_as_fresh_as_the_rendering() -> None:
    looks = 0

    def look(tally: Tally) -> None:
        nonlocal looks
        looks += 1
        tally.apply([("sse_queue_depth", ("overflow",), looks)])

    async with metrics(Tally(KNOWN), (look,)) as system:
        for expected in (1, 2):
            exposition = (await system.ref("metrics").ask(Render(openmetrics=False))).text
            assert f'sse_queue_depth{{queue_name="overflow"}} {expected}.0\n'.encode() in exposition


async def test_a_restart_loses_nothing_counted_and_nothing_told_meanwhile() -> None:
    tally = Tally(KNOWN)
    ledger = Ledger()
    async with metrics(tally, ledger=ledger) as system:
        ref = system.ref("metrics")
        for _ in range(100):
            ledger.enter(REPORT)
        await system.restart("metrics")
        ledger.enter(REPORT)
        vitals = await settled(ref)
    assert tally.value(*REQUESTS) == 101
    assert vitals.requests_per_second > 0


async def test_a_crash_loses_nothing_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    tally = Tally(KNOWN)

    def fail_once(sampled: Tally) -> None:
        if sampled.value("sse_queue_depth", ("overflow",)) == 0:
            sampled.apply([("sse_queue_depth", ("overflow",), 1)])
            raise RuntimeError("a sampler failed")

    ledger = Ledger()
    async with metrics(tally, (fail_once,), ledger=ledger) as system:
        ref = system.ref("metrics")
        ledger.enter(REPORT)
        with pytest.raises(Exception, match="metrics"):
            await ref.ask(Render(openmetrics=True))
        ledger.enter(REPORT)
        exposition = (await ref.ask(Render(openmetrics=True))).text
    families = {family.name: family for family in parse(exposition.decode())}  # type: ignore[no-untyped-call]
    requests = {tuple(sorted(s.labels.values())): s.value for s in families["sse_requests"].samples}
    assert requests["gpt-4", "openai", "success"] == 2


async def test_figures_are_the_load_of_the_last_minute(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failed = a_report(
        outcome="timeout",
        http_status=504,
        first_chunk=None,
        attempts=(),
        error=("timeout_error", "provider_call"),
    )
    ledger = Ledger()
    async with metrics(Tally(KNOWN), ledger=ledger) as system:
        ref = system.ref("metrics")
        await trio.sleep(600)
        ref.tell_nowait(SetGauge("sse_active_connections", (), 12))
        ref.tell_nowait(SetGauge("sse_connection_limit", (), 100))
        for report in [REPORT] * 90 + [failed] * 30:
            ledger.enter(report)
        assert await settled(ref) == Vitals(12, 100, 2.0, 25.0)
        await trio.sleep(61)
        assert await settled(ref) == Vitals(12, 100, 0.0, 0.0)


async def test_the_event_loops_delay_is_observed_once_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    tally = Tally(KNOWN)
    async with metrics(tally):
        await trio.sleep(10.5)
    assert tally.value("sluice_loop_delay_seconds") == 10


async def test_reports_are_read_soon_also_if_nobody_asks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    tally, ledger = Tally(KNOWN), Ledger()
    async with metrics(tally, ledger=ledger):
        for count in (1, 2):
            for _ in range(100):
                ledger.enter(REPORT)
            await trio.sleep(0.1)
            assert tally.value(*REQUESTS) == 100 * count


async def test_others_run_while_it_reads_a_long_ledger() -> None:
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    ledger = Ledger()
    for _ in range(2000):
        ledger.enter(REPORT)
    async with metrics(Tally(KNOWN), ledger=ledger) as system, trio.open_nursery() as nursery:
        nursery.start_soon(spin)
        await settled(system.ref("metrics"))
        assert turns > 2000 / 100
        nursery.cancel_scope.cancel()


async def test_reports_that_nobody_had_room_for_are_counted() -> None:
    tally, ledger = Tally(KNOWN), Ledger(capacity=1)
    for _ in range(4):
        ledger.enter(REPORT)
    async with metrics(tally, ledger=ledger) as system:
        await settled(system.ref("metrics"))
    assert tally.value("sluice_reports_lost_total") == 3


async def test_what_was_entered_while_it_was_stopped_is_counted_after_it() -> None:
    tally, ledger = Tally(KNOWN), Ledger()
    async with metrics(tally, ledger=ledger) as system:
        await system.stop("metrics")
        ledger.enter(REPORT)
        await system.restart("metrics")
        await settled(system.ref("metrics"))
    assert tally.value(*REQUESTS) == 1
