"""What each process of the service took: the first one, its workers, the embedded store."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from . import cpu
from .load import Load
from .results import Cost, FamilyCost, Scrape

_STORE = "valkey"


class Used(msgspec.Struct, frozen=True):
    """Seconds of processor time that each took between two looks."""

    first: float
    """The process that was started: the host, or all of the service but its store."""
    workers: list[float]
    store: float

    @property
    def total(self) -> float:
        """Of all."""
        return self.first + sum(self.workers) + self.store


def stores(pid: int) -> list[int]:
    """The embedded stores in the family of ``pid``."""
    return [member for member in cpu.family(pid) if cpu.name(member).startswith(_STORE)]


class Watch:
    """Looks at a family's processor time now, and again when it is asked what was used."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = cpu.by_process(pid)

    def __repr__(self) -> str:
        return f"<Watch of {self._pid}>"

    def used(self) -> Used:
        """Since this watch was made."""
        return used(self._pid, stores(self._pid), self._before, cpu.by_process(self._pid))


def used(
    pid: int, stores: Collection[int], before: Mapping[int, float], after: Mapping[int, float]
) -> Used:
    """Of the family of ``pid``; a process that was not there before began at nothing."""
    took = {member: seconds - before.get(member, 0.0) for member, seconds in after.items()}
    return Used(
        first=took[pid],
        workers=[took[member] for member in took if member != pid and member not in stores],
        store=sum(seconds for member, seconds in took.items() if member in stores),
    )


def cost(used: Used, load: Load) -> FamilyCost:
    """Of a request of that load."""
    micro = 1e6 / load.requests
    return FamilyCost(
        cost=Cost(used.total * micro, load.per_second, used.total / (load.microseconds / 1e6)),
        first=used.first * micro,
        workers=sum(used.workers) * micro,
        store=used.store * micro,
    )


def scrape(used: Used, times: int) -> Scrape:
    """Of so many scrapes on one connection: the worker that has it takes the most."""
    milli = 1000 / times
    *others, worker = sorted(used.workers)
    return Scrape(worker=worker * milli, others=sum(others) * milli, host=used.first * milli)
