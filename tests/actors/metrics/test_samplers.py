"""What the engine and the providers' pools count is read as it is, by kind of actor."""

import pytest
import trio
from msgspec.structs import replace

from sluice.actors.breakers.circuits import Circuits, Verdict
from sluice.actors.metrics.catalog import ACTOR, Known
from sluice.actors.metrics.samplers import breaker_sampler, engine_sampler, kind_of
from sluice.actors.metrics.tally import Tally
from sluice.actors.providers.provider import ProviderStatistics
from sluice.actors.settings import BreakerSettings
from sluice.actors.slots.connections import SlotsInUse
from sluice.engine import (
    ASK_BOUNDS,
    ActorStatistics,
    LatencyStatistics,
    LinkStatistics,
    MailboxStatistics,
)

KNOWN = Known(providers=("openai", "anthropic"))
GUARDS = {("openai", "gpt"): "openai", ("openai", "own"): "openai/own"}
OPEN = 2


def actor(
    path: str,
    *,
    waiting: int = 0,
    refused: int = 0,
    dropped: int = 0,
    restarts: int = 0,
    dead_letters: int = 0,
    domain: object = None,
) -> ActorStatistics:
    return ActorStatistics(
        path=path,
        kind="Actor",
        state="running",
        incarnation=1,
        uptime=1.0,
        handled=0,
        crashes=0,
        restarts=restarts,
        declared_errors=0,
        unknown=0,
        timeouts=0,
        late_replies=0,
        abandoned=0,
        dead_letters=dead_letters,
        handling=None,
        tasks=(),
        mailbox=MailboxStatistics(
            capacity=1024,
            overflow="refuse",
            waiting=waiting,
            peak=waiting,
            accepted=0,
            refused=refused,
            dropped=dropped,
        ),
        domain=domain,
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("metrics", "metrics"),
        ("connections", "connections"),
        ("streams", "streams"),
        ("edge", "edge"),
        ("providers/openai", "provider"),
        ("shares", "shares"),
        ("lease", "lease"),
        ("drain", "drain"),
        ("control", "control"),
        ("store/embedded", "store"),
        ("store/remote", "store"),
        ("workers/worker-1", "worker"),
    ],
)
def test_actors_are_told_apart_by_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind
    assert kind in ACTOR.values


def test_the_actors_of_a_kind_add_up() -> None:
    tally = Tally(KNOWN)
    actors = [
        actor("providers/openai", waiting=2, refused=1, restarts=3),
        actor("providers/anthropic", waiting=5, dropped=4, restarts=1),
        actor("metrics", dropped=7, dead_letters=2),
    ]
    engine_sampler(lambda: actors)(tally)
    assert tally.value("sluice_mailbox_depth", ("provider",)) == 7
    assert tally.value("sluice_mailbox_overflow_total", ("provider",)) == 5
    assert tally.value("sluice_actor_restarts_total", ("provider",)) == 4
    assert tally.value("sluice_mailbox_overflow_total", ("metrics",)) == 7
    assert tally.value("sluice_dead_letters_total", ("metrics",)) == 2


def test_an_actor_of_no_known_kind_is_other() -> None:
    tally = Tally(KNOWN)
    engine_sampler(lambda: [actor("visitor", waiting=3)])(tally)
    assert tally.value("sluice_mailbox_depth", ("other",)) == 3


def test_an_empty_mailbox_reads_zero_again() -> None:
    tally = Tally(KNOWN)
    engine_sampler(lambda: [actor("edge", waiting=3)])(tally)
    engine_sampler(lambda: [actor("edge")])(tally)
    assert tally.value("sluice_mailbox_depth", ("edge",)) == 0


def test_the_idle_connections_of_a_provider_are_its_pools() -> None:
    tally = Tally(KNOWN)
    pool = ProviderStatistics(idle=9, reused=0, missed=0, returned=0, expired=0, stale=0, surplus=0)
    engine_sampler(lambda: [actor("providers/openai", domain=pool)])(tally)
    assert tally.value("sse_provider_connections", ("openai", "idle")) == 9
    assert tally.value("sse_provider_connections", ("anthropic", "idle")) == 0


def test_the_slots_in_use_are_read_from_their_actor() -> None:
    tally = Tally(KNOWN)
    slots = SlotsInUse(7, 100, 80, above_soft_limit=False, refused=0, lost=4)
    engine_sampler(lambda: [actor("connections", domain=slots)])(tally)
    assert tally.value("sse_active_connections") == 7
    assert tally.value("sse_connection_limit") == 100
    assert tally.value("sluice_streams_lost_total") == 4


def test_asks_that_were_timed_add_up_by_kind_of_actor() -> None:
    tally = Tally(KNOWN)
    buckets = [0] * (len(ASK_BOUNDS) + 1)
    actors: list[ActorStatistics] = []
    sample = engine_sampler(lambda: actors)
    for seen in (1, 3):
        buckets[2] = seen
        latency = LatencyStatistics(tuple(buckets), 0.001 * seen)
        actors[:] = [
            replace(actor("providers/openai"), latency=latency, timeouts=seen),
            replace(actor("providers/anthropic"), latency=latency),
        ]
        sample(tally)
    assert tally.value("sluice_ask_latency_seconds", ("provider",)) == 6
    assert tally.value("sluice_ask_timeouts_total", ("provider",)) == 3


def test_a_link_counts_as_what_two_processes_have_between_them() -> None:
    tally = Tally(KNOWN)
    links = [
        LinkStatistics(
            process="host",
            is_up=True,
            silent=0.1,
            in_flight=5,
            asks=100,
            timeouts=2,
            late_replies=0,
            refused=3,
            dead_letters=4,
            unreadable=6,
            frames_sent=0,
            frames_received=0,
            bytes_sent=0,
            bytes_received=0,
            writes=0,
            reads=0,
            latency=LatencyStatistics((1,) * (len(ASK_BOUNDS) + 1), 1.0),
        )
    ]
    engine_sampler(list, lambda: links)(tally)
    link = ("link",)
    assert tally.value("sluice_mailbox_depth", link) == 5
    assert tally.value("sluice_mailbox_overflow_total", link) == 3
    assert tally.value("sluice_dead_letters_total", link) == 4
    assert tally.value("sluice_ask_timeouts_total", link) == 2
    assert tally.value("sluice_link_unreadable_total") == 6
    assert tally.value("sluice_ask_latency_seconds", link) == len(ASK_BOUNDS) + 1


async def test_a_provider_reads_as_the_worst_of_its_breakers_and_a_model_as_its_own() -> None:  # noqa: ASYNC124 -- it needs trio's clock
    tally, circuits = breakers()
    breaker_sampler(circuits, lambda: GUARDS)(tally)
    assert tally.value("sse_circuit_breaker_state", ("openai",)) == OPEN
    assert tally.value("sse_circuit_breaker_state", ("anthropic",)) == 0
    assert tally.value("sse_circuit_breaker_model_state", ("openai", "gpt")) == 0
    assert tally.value("sse_circuit_breaker_model_state", ("openai", "own")) == OPEN
    assert tally.value("sse_circuit_breaker_failures_total", ("openai",)) == 1


async def test_a_breaker_that_is_configured_no_more_reads_as_closed() -> None:  # noqa: ASYNC124 -- it needs trio's clock
    tally, circuits = breakers()
    guards = dict(GUARDS)
    sample = breaker_sampler(circuits, lambda: guards)
    sample(tally)
    circuits.configure({"anthropic": BreakerSettings()})
    guards.clear()
    sample(tally)
    assert tally.value("sse_circuit_breaker_state", ("openai",)) == 0
    assert tally.value("sse_circuit_breaker_model_state", ("openai", "own")) == 0
    assert tally.value("sse_circuit_breaker_failures_total", ("openai",)) == 1


def breakers() -> tuple[Tally, Circuits]:
    """Three breakers, of which that of a model is open."""
    names = ("openai", "openai/own", "anthropic")
    circuits = Circuits(dict.fromkeys(names, BreakerSettings(failures=1)))
    circuits.hear(Verdict("openai/own", "failed"), trio.current_time())
    return Tally(replace(KNOWN, models=tuple(GUARDS))), circuits
