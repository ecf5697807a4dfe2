"""``/health``: how the service is, as ``seed J`` and decisions 14, 24 and 26 have it.

`take` asks the actors, none for longer than `ASK_TIMEOUT`; `assess` judges. An actor that does
not answer makes the service degraded, with a reason; it never makes this route hang or fail.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec
import trio

from sluice.actors.metrics.metrics import Figures, Vitals
from sluice.actors.slots.connections import Count, SlotsInUse
from sluice.engine import ActorError, Message, Ref

from .services import AppServices, Lifecycle, ProviderState

ASK_TIMEOUT: Final = 1.0
"""Seconds an actor has to answer: a prober's own deadline is usually 1 to 5 s."""

REQUESTS_SOFT_LIMIT: Final = 500.0
"""Requests a second from which on the service is degraded (``decision 24``)."""

Status = Literal["healthy", "degraded", "unhealthy"]
StoreState = Literal["ok", "degraded"]
"""Never ``down``: the service does without it, and looks for it."""
R = TypeVar("R")


class Snapshot(msgspec.Struct):
    """What the actors said; None where one did not answer."""

    providers: dict[str, ProviderState]
    slots: SlotsInUse | None = None
    load: Vitals | None = None
    store: StoreState | msgspec.UnsetType = msgspec.UNSET
    """Unset: there is none."""
    store_trouble: str | None = None


class Checks(msgspec.Struct, frozen=True):
    """``checks`` of the answer. What does not exist has no key (``decision 14``)."""

    providers: dict[str, ProviderState]
    redis: StoreState | msgspec.UnsetType = msgspec.UNSET
    """The store, by the name that the seed gives it."""


class Metrics(msgspec.Struct, frozen=True):
    """``metrics`` of the answer; null where the actor that knows it did not answer."""

    active_connections: int | None
    requests_per_second: float | None
    error_rate_percent: float | None


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer."""

    status: Status
    version: str
    checks: Checks
    metrics: Metrics
    reasons: list[str] = []
    """Why it is not healthy; left out when it is."""

    @property
    def http_status(self) -> int:
        """503 when no request could be served, else 200 (``decision 26``)."""
        return 503 if self.status == "unhealthy" else 200


async def take(services: AppServices) -> Snapshot:
    """Ask all at the same time."""
    snapshot = Snapshot(services.providers())
    if services.store_trouble is not None:
        snapshot.store_trouble = services.store_trouble()
        snapshot.store = "ok" if snapshot.store_trouble is None else "degraded"

    async def ask_connections() -> None:
        snapshot.slots = await _ask(services.connections, Count())

    async def ask_metrics() -> None:
        snapshot.load = await _ask(services.metrics, Figures())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_connections)
        nursery.start_soon(ask_metrics)
    return snapshot


async def _ask(actor: Ref, question: Message[R]) -> R | None:
    try:
        return await actor.ask(question, timeout=ASK_TIMEOUT)
    except ActorError:
        return None


def assess(lifecycle: Lifecycle, snapshot: Snapshot, version: str) -> Health:
    """The judgement on what the actors said."""
    fatal = _fatal(lifecycle, snapshot)
    impaired = _impaired(snapshot)
    return Health(
        status="unhealthy" if fatal else "degraded" if impaired else "healthy",
        version=version,
        checks=Checks(snapshot.providers, snapshot.store),
        metrics=_metrics(snapshot.slots, snapshot.load),
        reasons=fatal + impaired,
    )


def _metrics(slots: SlotsInUse | None, load: Vitals | None) -> Metrics:
    return Metrics(
        active_connections=None if slots is None else slots.active,
        requests_per_second=None if load is None else round(load.requests_per_second, 2),
        error_rate_percent=None if load is None else round(load.error_rate_percent, 2),
    )


def _fatal(lifecycle: Lifecycle, snapshot: Snapshot) -> list[str]:
    """Why no request could be served."""
    reasons = []
    if lifecycle != "serving":
        reasons.append(f"The service is {lifecycle}.")
    if all(state == "down" for state in snapshot.providers.values()):
        reasons.append("No provider is usable.")
    return reasons


def _impaired(snapshot: Snapshot) -> list[str]:
    """Why requests are served, but not as they should be."""
    reasons = [
        f"Provider {provider} is {state}."
        for provider, state in snapshot.providers.items()
        if state != "ok"
    ]
    if snapshot.store_trouble is not None:
        reasons.append(f"The store is {snapshot.store_trouble}.")
    slots, load = snapshot.slots, snapshot.load
    if slots is None:
        reasons.append("The actor connections does not answer.")
    elif slots.above_soft_limit:
        reasons.append(f"{slots.active} of {slots.limit} connections are in use.")
    if load is None:
        reasons.append("The actor metrics does not answer.")
    elif load.requests_per_second >= REQUESTS_SOFT_LIMIT:
        reasons.append(f"{load.requests_per_second:.0f} requests a second are many.")
    return reasons
