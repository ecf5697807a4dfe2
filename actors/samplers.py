"""What nobody tells, read before each rendering: the engine's own counts, and the pools'.

A sampler copies a snapshot into the tally, and must be quick. Totals that somebody else counts
go through `Tally.raise_to`: should that count begin again, ours goes on from where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sluice.engine import ActorStatistics

from .connections import SlotsInUse
from .provider import ProviderClient, ProviderStatistics
from .tally import Tally

Sampler = Callable[[Tally], None]
"""Reads something into the tally."""


def engine_sampler(actors: Callable[[], Iterable[ActorStatistics]]) -> Sampler:
    """Reads the mailboxes, restarts and dead letters of ``actors()``, by kind of actor."""

    def sample(tally: Tally) -> None:
        waiting: Counter[str] = Counter()
        overflow: Counter[str] = Counter()
        restarts: Counter[str] = Counter()
        dead_letters = 0
        for actor in actors():
            kind = kind_of(actor.path)
            waiting[kind] += actor.mailbox.waiting
            overflow[kind] += actor.mailbox.refused + actor.mailbox.dropped
            restarts[kind] += actor.restarts
            dead_letters += actor.dead_letters
            if isinstance(actor.domain, ProviderStatistics):
                _idle(tally, actor.path, actor.domain)
            elif isinstance(actor.domain, SlotsInUse):
                _slots(tally, actor.domain)
        for kind, messages in waiting.items():
            tally.apply([("sluice_mailbox_depth", (kind,), messages)])
            tally.raise_to("sluice_mailbox_overflow_total", (kind,), overflow[kind])
            tally.raise_to("sluice_actor_restarts_total", (kind,), restarts[kind])
        tally.raise_to("sluice_dead_letters_total", (), dead_letters)

    return sample


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


def _idle(tally: Tally, path: str, pool: ProviderStatistics) -> None:
    provider = path.rpartition("/")[2]
    tally.apply([("sse_provider_connections", (provider, "idle"), pool.idle)])


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
