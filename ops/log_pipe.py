"""Lines on their way to a log sink that may be slow, full or gone.

`LogPipe.put` is for the event loop: it never blocks and never raises. A thread gathers what
has come and writes it in one go. A sink that does not keep up costs lines, which are
counted and told as soon as there is room again, and nothing else.

Several processes may write to one pipe: a write holds whole lines, and no more of them than the
system keeps together (``PIPE_BUF``, pipe(7)).
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

CAPACITY: Final = 20_000
"""Lines that may wait: some megabytes, and seconds of a busy service."""
GATHER: Final = 0.05
"""Seconds between a line and the write that takes it, with all that came meanwhile."""
_FLUSH: Final = 2.0
"""Seconds a blocked sink may hold up the end of the process."""


class LogPipeStatistics(msgspec.Struct, frozen=True):
    """Lines so far. ``lost`` is the sum of what was ``dropped`` and what a sink refused."""

    written: int
    waiting: int
    lost: int


class LogPipe:
    """The way to one descriptor. ``on_loss`` makes the line that tells of lost ones."""

    def __init__(
        self,
        descriptor: int,
        on_loss: Callable[[int], bytes],
        capacity: int = CAPACITY,
        gather: float = GATHER,
    ) -> None:
        self._descriptor = descriptor
        self._on_loss = on_loss
        self._capacity = capacity
        self._gather = gather
        self._lines: deque[bytes] = deque()
        self._woken = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._written = 0
        self._dropped = 0
        self._refused = 0
        self._told = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Take ``line`` (with its newline) along, or count it as lost when too many wait."""
        if len(self._lines) >= self._capacity:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._woken:
            self._woken = True
            self._wake.set()

    def close(self, timeout: float = _FLUSH) -> None:
        """Write what waits, for at most ``timeout`` seconds. Idempotent."""
        self._deadline = min(self._deadline, time.monotonic() + timeout)
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)

    def statistics(self) -> LogPipeStatistics:
        """A snapshot."""
        lost = self._dropped + self._refused
        return LogPipeStatistics(self._written, len(self._lines), lost)

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._lines):
            self._wake.wait()
            self._closing.wait(self._gather)
            self._wake.clear()
            self._woken = False  # before taking: a line that comes now wakes us again
            while self._lines:
                self._write_batch()
        self._tell_losses()

    def _write_batch(self) -> None:
        batch = [self._lines.popleft()]
        room = select.PIPE_BUF - len(batch[0])
        while self._lines and len(self._lines[0]) <= room:
            batch.append(self._lines.popleft())
            room -= len(batch[-1])
        self._tell_losses()
        if self._write(b"".join(batch)):
            self._written += len(batch)
        else:
            self._refused += len(batch)

    def _tell_losses(self) -> None:
        lost = self._dropped + self._refused
        if lost > self._told and self._write(self._on_loss(lost - self._told)):
            self._told = lost

    def _write(self, data: bytes) -> bool:
        """All of ``data``, or False: the sink is closed, full, or blocked while we end."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                if not self._wait_for_room():
                    return False
            except OSError:  # EPIPE, ENOSPC, EBADF: the service goes on without its log
                return False
        return True

    def _wait_for_room(self) -> bool:
        """For a sink that does not block: until it takes bytes; False when time is up."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while time.monotonic() < self._deadline:
            if poll.poll(100):
                return True
        return False
