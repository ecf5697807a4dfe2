"""How many cores this process may use: its affinity, and the quota of its control groups."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import Final, Literal

_GROUPS: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")


def workers_for(setting: int | Literal["auto"], cores: int) -> int:
    """How many workers ``[server] workers`` means with so many ``cores``; 0: one process.

    ``auto`` is one a core. Where there is only one, a host beside its worker would cost some of
    it and gain nothing: all is in one process then.
    """
    if setting != "auto":
        return setting
    return cores if cores > 1 else 0


def usable_cores(groups: Path = _GROUPS, mount: Path = _MOUNT) -> int:
    """At least 1. A quota of one and a half cores is two: the second is of half a use."""
    available = len(os.sched_getaffinity(0))
    quotas = [quota for quota in _quotas(groups, mount) if quota is not None]
    return max(1, min([available, *(math.ceil(quota) for quota in quotas)]))


def _quotas(groups: Path, mount: Path) -> list[float | None]:
    """Of our group and all above it, in both versions of control groups."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return []
    found: list[float | None] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            folders = _with_parents(mount, group)
            found += [read_max(_text(folder / "cpu.max")) for folder in folders]
        elif "cpu" in controllers.split(","):
            found += [_version_one(folder) for folder in _with_parents(mount / controllers, group)]
    return found


def _with_parents(root: Path, group: str) -> list[Path]:
    """The folders of ``group`` and of those above it. In a container ours may be the root."""
    parts = PurePosixPath(group.lstrip("/")).parts
    if ".." in parts:
        return [root]
    return [root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def _version_one(folder: Path) -> float | None:
    quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    return read_max(f"{quota} {period}") if quota and period else None


def read_max(text: str) -> float | None:
    """Cores that ``cpu.max`` grants (``150000 100000``: 1.5); None: no bound, or unreadable."""
    try:
        quota, period = (int(word) for word in text.split())
    except ValueError:  # ``max``, or what this kernel writes otherwise
        return None
    return quota / period if quota > 0 and period > 0 else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
