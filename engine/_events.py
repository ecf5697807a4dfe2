"""What happens to actors, as a service may want to log and count it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from ._crash import CrashReport

Kind = Literal[
    "started",
    "start_failed",
    "crashed",
    "restarting",
    "stopped",
    "left",
    "gave_up",
    "paused",
    "resumed",
    "process_started",
    "process_exited",
    "process_killed",
    "process_signalled",
]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened at ``path``: to an actor, a supervisor, or a process.

    Kinds that begin with ``process_`` are about the process that the actor there minds.
    ``process_signalled``: it was told by SIGTERM to end, and may go on for a while;
    ``process_exited`` or ``process_killed`` comes once for each that was started, when it is
    reaped.
    """

    kind: Kind
    path: str
    incarnation: int = 0
    """Of the actor or supervisor, from 1; 0 where it is about a process."""
    generation: int = 0
    """Of the process, from 1; 0 where it is about none."""
    at: float
    """`trio.current_time`."""
    detail: str = ""
    delay: float = 0.0
    """Of ``restarting``, which comes before the wait: how long that is, in seconds."""
    report: CrashReport | None = None
    """Of ``crashed`` and ``start_failed``, where it is an actor."""


OnEvent = Callable[[Event], None]
"""Called synchronously, at once: it must neither block nor raise. What it raises is counted."""
