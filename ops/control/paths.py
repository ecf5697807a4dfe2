"""How operators name actors: ``metrics`` is the host's, ``streams@worker-1`` a worker's. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

WORKERS: Final = "workers"
"""The host's supervisor of its workers."""
ROOT: Final = "root"
_HOLDERS: Final = frozenset({"edge", "streams", ROOT})
"""What holds connections in a worker: restarted beside them, or not at all."""


class Target(NamedTuple):
    """What a path leads to."""

    actor: str
    """Its path in its process; empty: that process's root."""
    process: str = ""
    """The worker; empty: the host."""

    @property
    def holds_connections(self) -> bool:
        """Whether it can only be restarted by replacing its worker, drained."""
        return bool(self.process) and (self.actor or ROOT) in _HOLDERS

    def __str__(self) -> str:
        name = self.actor or ROOT
        return f"{name}@{self.process}" if self.process else name


def target_of(path: str, host: str, workers: Collection[str]) -> Target | None:
    """What ``path`` leads to in a replica of ``workers``; None if it names no process of it.

    Besides ``streams@worker-1`` it may be what the tree shows: ``workers/worker-1/streams``; the
    name of the host, as the status has it, is its root.
    """
    actor, at, process = path.rpartition("@")
    if not at:
        first, _, below = path.partition("/")
        process, _, actor = below.partition("/")
        if first == WORKERS and process in workers and actor:
            return Target(_plain(actor), process)
        return Target("" if path == host else _plain(path))
    if process == host:
        return Target(_plain(actor))
    return Target(_plain(actor), process) if process in workers else None


def _plain(actor: str) -> str:
    return "" if actor == ROOT else actor
