"""The number of descriptors this process may hold, raised to what its connections need."""

from __future__ import annotations

import resource
from typing import Final

RESERVE: Final = 256
"""For listeners, logs, pipes, and connections that are about to close."""


def descriptors_for(streams: int) -> int:
    """What ``streams`` need: a client's and a provider's socket each."""
    return 2 * streams + RESERVE


def clients_within(connections: int, streams: int) -> int:
    """How many of ``connections`` clients may be open, so that ``streams`` find their providers.

    Without this bound idle clients could take the last descriptor, and no provider be called.
    """
    allowed = _count(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return max(1, min(connections, allowed - streams - RESERVE))


def raise_descriptors(needed: int) -> int:
    """Raise the soft limit, and if this process may, the hard one; returns what it is now.

    A limit is never lowered. Less than ``needed`` comes back when the system says no.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _enough(soft, needed):
        return _count(soft)
    for wanted in _attempts(needed, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
            break
        except (ValueError, OSError):  # more than an ordinary user or the kernel allows
            continue
    return _count(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _attempts(needed: int, hard: int) -> list[tuple[int, int]]:
    """(soft, hard) limits to try, the best first."""
    if _enough(hard, needed):
        return [(needed, hard)]
    return [(needed, needed), (hard, hard)]


def _enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed


def _count(limit: int) -> int:
    """``RLIM_INFINITY`` is -1 in Python: here, a number above all needs."""
    return 2**63 - 1 if limit == resource.RLIM_INFINITY else limit
