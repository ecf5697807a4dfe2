"""What the operating system knows of a process: its CPU time and its memory. Linux's ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _RSS = 11, 12, 21
"""Places behind the name in ``/proc/PID/stat`` (proc(5) counts from 1, and the name is its 2nd)."""


class Usage(NamedTuple):
    """Of one process; zeros once it has gone."""

    cpu: float = 0.0
    """Seconds, user and system, since its start."""
    memory: int = 0
    """Bytes resident."""


def usage_of(pid: int | None) -> Usage:
    """What the process ``pid`` has used up to now; it need not answer, or be there."""
    if pid is None:
        return Usage()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Usage()
    ticks = int(fields[_UTIME]) + int(fields[_STIME])
    return Usage(ticks / _TICKS, int(fields[_RSS]) * _PAGE)
