"""The bounds of a link, what is counted of it, and when its peer is dead."""

from __future__ import annotations

from dataclasses import dataclass

from ._frame import MAX_FRAME
from ._latency import Latency


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Bounds of a link; both ends should have the same.

    ``max_frame``: bytes of one frame. ``interval``: seconds between signs of life.
    ``patience``: seconds of silence after which the peer is dead. ``greeting``: seconds
    until its hello, which is a program's start away. ``backlog``,
    ``backlog_bytes``: what may wait to be sent. ``in_flight``: asks without a reply.
    """

    max_frame: int = MAX_FRAME
    interval: float = 1.0
    patience: float = 10.0
    greeting: float = 60.0
    backlog: int = 8192
    backlog_bytes: int = 8 << 20
    in_flight: int = 8192

    def __post_init__(self) -> None:
        """Reject nonsense. Raises `ValueError`."""
        if not 0 < self.interval < self.patience:
            raise ValueError("a link's patience is longer than its interval, which is positive")
        if min(self.max_frame, self.backlog, self.backlog_bytes, self.in_flight) < 1:
            raise ValueError("a link's bounds are at least 1")


class Counts:
    """What one link, or all links to one process, did."""

    __slots__ = (
        "asks",
        "bytes_received",
        "bytes_sent",
        "dead_letters",
        "frames_received",
        "frames_sent",
        "late_replies",
        "latency",
        "reads",
        "refused",
        "timeouts",
        "unreadable",
        "writes",
    )

    def __init__(self) -> None:
        self.frames_sent = self.frames_received = self.bytes_sent = self.bytes_received = 0
        self.writes = self.reads = self.asks = self.late_replies = 0
        self.refused = self.timeouts = self.dead_letters = self.unreadable = 0
        self.latency = Latency()


def is_silent(now: float, heard: float, looked: float, interval: float, patience: float) -> bool:
    """Whether the peer is dead: not heard of for ``patience`` seconds.

    ``looked`` is when this was last decided. If that is longer ago than two intervals, it was
    this process that slept, and what the peer said meanwhile has not been read yet.
    """
    return now - heard > patience and now - looked < 2 * interval
