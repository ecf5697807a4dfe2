"""What the operating system knows of this process, as metrics. Linux's ``/proc`` only."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from .tally import Tally

_SELF = Path("/proc/self")


def sample_process(tally: Tally) -> None:
    """Read CPU time, memory and descriptors of this process into ``tally``: about 20 µs."""
    times = os.times()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    pages = int((_SELF / "statm").read_text().split()[1])
    tally.raise_to("process_cpu_seconds_total", (), times.user + times.system)
    tally.apply(
        (
            ("process_resident_memory_bytes", (), pages * resource.getpagesize()),
            ("process_open_fds", (), _descriptors()),
            ("process_max_fds", (), soft),
            ("process_start_time_seconds", (), _STARTED),
        )
    )


def _descriptors() -> int:
    """How many descriptors are open. Linux before 6.2 says so only by listing them all."""
    return (_SELF / "fd").stat().st_size or sum(1 for _ in (_SELF / "fd").iterdir())


def _started() -> float:
    """When this process started, in seconds since the epoch."""
    ticks = int((_SELF / "stat").read_text().rpartition(")")[2].split()[19])
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


_STARTED = _started()
