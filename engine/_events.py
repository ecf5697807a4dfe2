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
    """One thing that happened to the actor or supervisor at ``path``.

    ``restarting`` comes before the wait, with its length in ``delay`` (seconds). ``report`` is
    there for ``crashed`` and ``start_failed`` of actors. In those of a process, which begin with
    ``process_``, ``incarnation`` is its generation: ``process_signalled`` is one that was told by
    SIGTERM to end, and may go on for a while; ``process_exited`` or ``process_killed`` comes once
    for each that was started, when it is reaped. ``at`` is `trio.current_time`.
    """

    kind: Kind
    path: str
    incarnation: int
    at: float
    detail: str = ""
    delay: float = 0.0
    report: CrashReport | None = None


OnEvent = Callable[[Event], None]
"""Called synchronously, at once: it must neither block nor raise. What it raises is counted."""
