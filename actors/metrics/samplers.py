"""What nobody tells, read before each rendering: the engine's own counts, and the pools'.

A sampler copies a snapshot into the tally, and must be quick. Totals that somebody else counts
go through `Tally.raise_to`: should that count begin again, ours goes on from where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import trio

from sluice.actors.breakers.breaker import STATES, State
from sluice.actors.breakers.circuits import Circuits, provider_of, worst
from sluice.actors.breakers.permits import Permits
from sluice.actors.limits.limiter import Limiter
from sluice.actors.providers.provider import ProviderClient, ProviderStatistics
from sluice.actors.slots.connections import SlotsInUse
from sluice.engine import ASK_BOUNDS, ActorStatistics, LatencyStatistics, LinkStatistics

from .tally import Labels, Tally

Model = tuple[str, str]
"""Provider and model, as configured."""

Sampler = Callable[[Tally], None]
"""Reads something into the tally."""


def engine_sampler(
    actors: Callable[[], Iterable[ActorStatistics]],
    links: Callable[[], Iterable[LinkStatistics]] = tuple,
) -> Sampler:
    """Reads what the engine counts of ``actors()``, by kind of actor, and of ``links()``."""

    def sample(tally: Tally) -> None:
        kinds: defaultdict[str, _Kind] = defaultdict(_Kind)
        for actor in actors():
            kinds[kind_of(actor.path)].add(actor)
            if isinstance(actor.domain, ProviderStatistics):
                _idle(tally, actor.path, actor.domain)
            elif isinstance(actor.domain, SlotsInUse):
                _slots(tally, actor.domain)
        unreadable = 0
        for link in links():
            kinds["link"].add_link(link)
            unreadable += link.unreadable
        tally.raise_to("sluice_link_unreadable_total", (), unreadable)
        for name, kind in kinds.items():
            kind.record(tally, name)

    return sample


class _Kind:
    """The actors of one kind, together."""

    def __init__(self) -> None:
        self.waiting = self.overflow = self.restarts = self.dead_letters = self.timeouts = 0
        self.buckets = [0] * (len(ASK_BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, actor: ActorStatistics) -> None:
        self.waiting += actor.mailbox.waiting
        self.overflow += actor.mailbox.refused + actor.mailbox.dropped
        self.restarts += actor.restarts
        self.dead_letters += actor.dead_letters
        self.timeouts += actor.timeouts
        self._add(actor.latency)

    def add_link(self, link: LinkStatistics) -> None:
        self.waiting += link.in_flight
        self.overflow += link.refused
        self.dead_letters += link.dead_letters
        self.timeouts += link.timeouts
        self._add(link.latency)

    def _add(self, latency: LatencyStatistics) -> None:
        self.seconds += latency.seconds
        if latency.buckets:
            self.buckets = [a + b for a, b in zip(self.buckets, latency.buckets, strict=True)]

    def record(self, tally: Tally, name: str) -> None:
        kind = (name,)
        tally.apply([("sluice_mailbox_depth", kind, self.waiting)])
        tally.raise_to("sluice_mailbox_overflow_total", kind, self.overflow)
        tally.raise_to("sluice_actor_restarts_total", kind, self.restarts)
        tally.raise_to("sluice_dead_letters_total", kind, self.dead_letters)
        tally.raise_to("sluice_ask_timeouts_total", kind, self.timeouts)
        tally.observe_to("sluice_ask_latency_seconds", kind, self.buckets, self.seconds)


def kind_of(path: str) -> str:
    """The kind of the actor at ``path``: its name, or ``provider`` for ``providers/openai``."""
    supervisor, _, name = path.partition("/")
    return supervisor.removesuffix("s") if name else supervisor


def _slots(tally: Tally, slots: SlotsInUse) -> None:
    """Read, not told: it changes twice a request, and is looked at twice a minute."""
    tally.apply(
        (
            ("sse_active_connections", (), slots.active),
            ("sse_connection_limit", (), slots.limit),
        )
    )
    tally.raise_to("sluice_streams_lost_total", (), slots.lost)


def _idle(tally: Tally, path: str, pool: ProviderStatistics) -> None:
    provider = path.rpartition("/")[2]
    tally.apply([("sse_provider_connections", (provider, "idle"), pool.idle)])


def breaker_sampler(circuits: Circuits, guards: Callable[[], Mapping[Model, str]]) -> Sampler:
    """Reads the states of the circuit breakers, and what they counted.

    ``guards``: for each (provider, model) the name of the breaker that guards it. What is no
    longer configured reads as closed: else it would read for ever as it did last.
    """
    told: dict[tuple[str, Labels], State] = {}

    def sample(tally: Tally) -> None:
        states = dict(circuits.states(trio.current_time()))
        found = _breaker_gauges(states, guards())
        gone: dict[tuple[str, Labels], State] = dict.fromkeys(told.keys() - found.keys(), "closed")
        told.clear()
        told.update(found)
        tally.apply((*gauge, STATES.index(state)) for gauge, state in (found | gone).items())
        for provider in {provider_of(name) for name in states}:
            failures = circuits.failures[provider]
            tally.raise_to("sse_circuit_breaker_failures_total", (provider,), failures)

    return sample


def _breaker_gauges(
    states: Mapping[str, State], guards: Mapping[Model, str]
) -> dict[tuple[str, Labels], State]:
    """What each gauge tells, by its name and labels."""
    found: dict[tuple[str, Labels], State] = {
        ("sse_circuit_breaker_model_state", model): states.get(name, "closed")
        for model, name in guards.items()
    }
    for name, state in states.items():
        gauge = ("sse_circuit_breaker_state", (provider_of(name),))
        found[gauge] = worst((state, found.get(gauge, "closed")))
    return found


def permit_sampler(permits: Permits) -> Sampler:
    """Reads the calls that this process did not make, for a breaker was not closed."""

    def sample(tally: Tally) -> None:
        for provider, refused in permits.refused.items():
            tally.raise_to("sse_circuit_breaker_refused_total", (provider,), refused)

    return sample


def provider_sampler(clients: Mapping[str, ProviderClient]) -> Sampler:
    """Reads the connections in use, and those ever opened, of each provider's client."""

    def sample(tally: Tally) -> None:
        for provider, client in clients.items():
            statistics = client.statistics()
            in_use = statistics.open_calls
            tally.apply([("sse_provider_connections", (provider, "active"), in_use)])
            opened = "sse_provider_connections_opened_total"
            tally.raise_to(opened, (provider,), statistics.dials)

    return sample


def limiter_sampler(limiter: Limiter) -> Sampler:
    """Reads how many requests were limited without the store."""

    def sample(tally: Tally) -> None:
        tally.raise_to("sse_rate_limit_local_total", (), limiter.statistics().locally)

    return sample


async def watch_loop(tally: Tally, interval: float) -> None:
    """Observe by how much each look comes too late: what every other task also waited. For ever."""
    while True:
        due = trio.current_time() + interval
        await trio.sleep_until(due)
        delay = trio.current_time() - due
        tally.apply([("sluice_loop_delay_seconds", (), delay)])
