"""Frozen snapshots: what `statistics()` of each part returns. Times are seconds."""

from __future__ import annotations

from typing import Any

import msgspec

from ._lifecycle import State


class MailboxStatistics(msgspec.Struct, frozen=True):
    """One mailbox. Counts are since the actor was declared, over all incarnations."""

    capacity: int
    overflow: str
    waiting: int
    """Messages in it now."""
    peak: int
    accepted: int
    refused: int
    """Turned away because it was full (``refuse``)."""
    dropped: int
    """Dropped because it was full (``drop_newest``, ``drop_oldest``)."""


class ActorStatistics(msgspec.Struct, frozen=True):
    """One actor. Counts are over all incarnations."""

    path: str
    kind: str
    """The name of its class; empty before the first start."""
    state: State
    incarnation: int
    """1 for the first; 0 if it was never started."""
    uptime: float
    """Of this incarnation, since it was ready; 0 when it is down."""
    handled: int
    crashes: int
    restarts: int
    declared_errors: int
    """Replies that were an exception which the handler declares."""
    unknown: int
    """Messages without a handler."""
    timeouts: int
    """Asks whose deadline passed."""
    late_replies: int
    """Replies that nobody waited for any more; dropped."""
    abandoned: int
    """Asks whose asker had gone before their turn came; not handled."""
    dead_letters: int
    handling: str | None
    """The type of the message it is handling now."""
    tasks: tuple[str, ...]
    """The names of its background tasks."""
    mailbox: MailboxStatistics
    domain: Any = None
    """What `Actor.statistics` of this incarnation says."""


class SupervisorStatistics(msgspec.Struct, frozen=True):
    """One supervisor."""

    path: str
    strategy: str
    state: State
    children: tuple[str, ...]
    """Their paths, in the order in which they are started."""
    restarts: int
    """Restarts of its children that were failures (not an operator's), ever."""
    restarts_in_period: int
    intensity: int
    period: float
    gave_up: int


class SystemStatistics(msgspec.Struct, frozen=True):
    """The whole system."""

    actors: int
    supervisors: int
    uptime: float
    crashes: int
    restarts: int
    dead_letters: int
    waiting: int
    """Messages in all mailboxes."""
    pending_deadlines: int
    """Entries of the timer: asks in flight and a bounded number that are over."""
    hook_failures: int
    """Exceptions that ``on_event`` raised; they are dropped here."""
