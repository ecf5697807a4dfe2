"""Operators' hands on the circuit breakers, in one process or in a host."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from sluice.actors.breakers.breaker import BreakerOrder
from sluice.actors.breakers.breakers import Operate
from sluice.actors.breakers.circuits import Standing
from sluice.engine import System
from sluice.ops.breakers import ReplicaBreakers

from .nearest import nearest
from .protocol import BreakerStatus, Refused

PATIENCE: Final = 1.0
"""Seconds that an actor has to obey."""

SWITCHED_OFF: Final = "circuit breakers are switched off: [breaker] enabled = false"


class Broken(Protocol):
    """What has the breakers."""

    breakers: ReplicaBreakers
    system: System


async def operate(service: Broken, name: str, order: BreakerOrder | None) -> list[BreakerStatus]:
    """Do ``order`` to the breaker ``name``, or to all of the provider ``name``; how they are then.

    Raises `Refused` (``unknown_breaker``; ``not_possible`` where breakers are switched off), or an
    `EngineError` if the actor does not answer.
    """
    circuits = service.breakers.circuits
    names = [name] if "/" in name and name in circuits.names else list(circuits.of(name))
    if not names:
        raise Refused("unknown_breaker", nothing_called(name, circuits.names))
    if order is not None and not circuits.guards(names[0]):
        raise Refused("not_possible", SWITCHED_OFF)
    actor = service.system.ref(service.breakers.minder(names[0]))
    standings = await actor.ask(Operate(names, order), timeout=PATIENCE)
    return [status_of(each) for each in standings]


def standings(service: Broken) -> tuple[BreakerStatus, ...]:
    """How all of them are, now."""
    circuits, now = service.breakers.circuits, trio.current_time()
    return tuple(status_of(circuits.standing(name, now)) for name in circuits.names)


def status_of(standing: Standing) -> BreakerStatus:
    """As operators get it."""
    return BreakerStatus(
        standing.name, standing.state, standing.held, standing.failing, standing.seconds
    )


def nothing_called(name: str, known: tuple[str, ...]) -> str:
    """What an operator is told of a breaker that does not exist."""
    if not known:
        return f"there is no circuit breaker {name!r}: no provider is configured"
    meant = [each for each in nearest(name, known) if each]
    if meant:
        return f"there is no circuit breaker {name!r}; did you mean {' or '.join(meant)}?"
    return f"there is no circuit breaker {name!r}; there are: {', '.join(known)}"
