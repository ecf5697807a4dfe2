"""Processor time and memory of a program and its children, from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME = 11, 12  # after the name: fields 14 and 15 of proc(5)


def seconds(pid: int) -> float:
    """User and system time of ``pid`` and its descendants, in seconds."""
    return sum(by_process(pid).values())


def by_process(pid: int) -> dict[int, float]:
    """The same of each: seconds by process id, ``pid`` itself first."""
    return {member: used(_read(member, "stat")) / _TICKS for member in family(pid)}


def name(pid: int) -> str:
    """The name of a process as the kernel has it: 15 characters at most."""
    return _read(pid, "comm").rstrip("\n")


def resident(pid: int) -> int:
    """Memory of ``pid`` and its descendants that is in RAM, in bytes."""
    return sum(map(resident_alone, family(pid)))


def resident_alone(pid: int) -> int:
    """Memory of ``pid`` without its descendants that is in RAM, in bytes."""
    return int(_read(pid, "statm").split()[1]) * _PAGE


def family(pid: int) -> list[int]:
    """``pid`` and all its descendants."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(member for child in children for member in family(child))]


def used(stat: str) -> int:
    """User and system time in ticks, from ``/proc/<pid>/stat``.

    The name, in parentheses, may hold anything: blanks and parentheses too.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[_UTIME]) + int(fields[_STIME])


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()
