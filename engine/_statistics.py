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


class LatencyStatistics(msgspec.Struct, frozen=True):
    """How long asks took that were timed: one in 16. Counts are over all incarnations."""

    buckets: tuple[int, ...] = ()
    """By `ASK_BOUNDS`; the last one is of those above all bounds."""
    seconds: float = 0.0
    """That they took together."""


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
    latency: LatencyStatistics = LatencyStatistics()
    """From an ask's arrival in the mailbox to its reply."""


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


class LinkStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """All links, one after the other, to one process. Counts are over all of them."""

    process: str
    is_up: bool
    silent: float | None
    """Since the peer was last heard of; None if there is no link."""
    in_flight: int
    """Asks and tells that wait for an answer now."""
    asks: int
    timeouts: int
    late_replies: int
    """Answers that nobody waited for any more; dropped."""
    refused: int
    """Asks and tells for which there was no room on the link."""
    dead_letters: int
    """What was told while there was no link."""
    unreadable: int
    """Messages and replies of the peer of an unknown type, or with a wrong field; refused."""
    frames_sent: int
    frames_received: int
    bytes_sent: int
    bytes_received: int
    writes: int
    reads: int
    latency: LatencyStatistics = LatencyStatistics()
    """From an ask to the arrival of its reply."""


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
    links: tuple[LinkStatistics, ...] = ()
