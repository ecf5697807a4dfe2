"""What the control server controls: one process, or a host with its workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sluice.actors.breakers.breaker import BreakerOrder

from .figures import Glance
from .protocol import (
    BreakerStatus,
    Draining,
    Happened,
    LevelSet,
    LimitKind,
    LimitsSet,
    LogLevel,
    Node,
    Outcome,
    ServiceStatus,
)

OnHappened = Callable[[Happened], None]
"""Called at once for each event; it neither blocks nor raises."""


class Controlled(Protocol):
    """A running service.

    Every method may raise `protocol.Refused`. Paths are whatever `tree` says they are:
    ``providers/openai``, and of a host with workers ``workers/worker-1``,
    ``providers/openai@worker-1``. A command is carried out to its end also when the operator who
    gave it has left.
    """

    async def status(self) -> ServiceStatus:
        """How it is. Bounded, whoever does not answer."""

    async def tree(self) -> Node:
        """All supervisors and actors. Bounded likewise."""

    async def restart(self, path: str) -> Outcome:
        """Stop what is at ``path`` in order, and start it anew."""

    async def pause(self, path: str) -> Outcome:
        """Let its mail wait."""

    async def resume(self, path: str) -> Outcome:
        """End a pause."""

    async def stop(self, path: str) -> Outcome:
        """Stop it until it is restarted."""

    def drain(self) -> Draining:
        """Begin the end, as on SIGTERM. Idempotent."""

    async def log_level(self, level: LogLevel | None) -> LevelSet:
        """Log from ``level`` on; None: change nothing."""

    async def breaker(self, name: str, order: BreakerOrder | None) -> list[BreakerStatus]:
        """Have the circuit breakers ``name`` obey; None: change nothing."""

    async def limit(self, kind: LimitKind | None, rate: str | None) -> LimitsSet:
        """Limit the callers of ``kind`` to ``rate``; None: change nothing."""

    async def glance(self) -> Glance:
        """Its counters and gauges, now."""

    def listen(self, on_happened: OnHappened) -> Callable[[], None]:
        """Have events told from now on; what is returned ends that, and is idempotent."""
