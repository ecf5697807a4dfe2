"""The limiter: takes a request of a caller from what he may ask in a while (``seed 5``).

* In the store, exactly: over all workers and replicas, by the server's clock, in one step.
* While the store is away, full or too slow, or where there is none: each process counts its own
  share of the limit, at least one request. So there is always a limit. What was accepted before
  is not known there, so that around such a change a window may hold one limit from each side.

A request loses to the store what its `Patience` has, and gets no error from it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import msgspec
import trio

from sluice.actors.failures import Limited
from sluice.actors.settings import LimitSettings, Rate
from sluice.actors.store import Op, Patience, StoreClient, StoreUnavailable

from .callers import Caller
from .script import read, taking
from .sliding import LocalCounts, Verdict

_REMEMBERED = 4096
"""Operations of callers that need not be put together again."""

_WHO = {"ip": "this address", "user": "this user", "token": "this token"}


class LimiterStatistics(msgspec.Struct, frozen=True):
    """Counted since the start of the process."""

    by_store: int
    """Requests that the store decided about."""
    locally: int
    """Those that were decided about here, by a share of the limit."""
    refused: int


class Limiter:
    """One process's.

    Args:
        limits: what is allowed; may be changed at any time.
        store: counts for all processes; None: there is none.
        processes: of this replica, that serve requests.
        clock: for what is counted here, in seconds.
    """

    def __init__(
        self,
        limits: LimitSettings,
        store: StoreClient | None,
        processes: int = 1,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.limits = limits
        self._store = store
        self._processes = processes
        self._clock = clock
        self._local = LocalCounts()
        self._by_store = self._locally = self._refused = 0

    def __repr__(self) -> str:
        return f"<Limiter {self.limits} {self._local}>"

    async def take(self, caller: Caller, patience: Patience) -> Verdict | None:
        """Accept a request of ``caller`` or not; None: he is not limited."""
        rate = self.rate_of(caller)
        if rate is None:
            return None
        verdict = None
        if self._store is not None:
            try:
                reply = await self._store.run(_taking(caller.kind, caller.name, rate), patience)
            except StoreUnavailable:
                pass  # it did not say
            else:
                verdict = read(reply, rate)
                self._by_store += 1
        if verdict is None:
            verdict = self._here(caller, rate)
        if not verdict.accepted:
            self._refused += 1
        return verdict

    def patience(self) -> Patience:
        """What one request may lose to the store, here and for whatever else it asks of it."""
        return Patience() if self._store is None else self._store.patience()

    def rate_of(self, caller: Caller) -> Rate | None:
        """What ``caller`` may ask."""
        if caller.limit is not msgspec.UNSET:
            return caller.limit
        limit: Rate | None = getattr(self.limits, caller.kind)
        return limit

    def statistics(self) -> LimiterStatistics:
        """A snapshot."""
        return LimiterStatistics(self._by_store, self._locally, self._refused)

    def _here(self, caller: Caller, rate: Rate) -> Verdict:
        self._locally += 1
        parts = self._processes * self.limits.replicas
        return self._local.take(caller.kind, caller.name, rate, parts, self._clock())


@functools.lru_cache(_REMEMBERED)
def _taking(kind: str, name: str, rate: Rate) -> Op:
    return taking(kind, name, rate)


def headers_of(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """``RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (draft-ietf-httpapi-ratelimit-headers-03).

    ``-Reset`` is when ``-Remaining`` grows next, in whole seconds: the window slides.
    """
    return [
        (b"ratelimit-limit", b"%d" % verdict.limit),
        (b"ratelimit-remaining", b"%d" % verdict.remaining),
        (b"ratelimit-reset", b"%d" % math.ceil(verdict.wait)),
    ]


def refusal(caller: Caller, verdict: Verdict) -> Limited:
    """The 429 of a request that was not accepted."""
    seconds = max(1, math.ceil(verdict.wait))
    return Limited(
        caller.kind,
        f"{_WHO[caller.kind].capitalize()} has reached its limit of requests"
        f" ({verdict.limit}); try again in {seconds} s.",
        retry_after=verdict.wait,
    )
