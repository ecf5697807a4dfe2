"""What a benchmark found: these structs are the JSON that ``--json`` writes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Several rounds of one figure: their median, and how far apart they were."""

    median: float
    low: float
    high: float


class Cost(msgspec.Struct, frozen=True):
    """One round under load: what it cost and how much went through."""

    microseconds: float
    """Processor time (user and system) of the proxy, a request."""
    per_second: float
    """Requests."""
    busy: float
    """The part of its core that the proxy used, 0 to 1. Below 0.9, the load was the limit."""


class FirstChunk(msgspec.Struct, frozen=True):
    """One round of time to the first chunk, in milliseconds."""

    p50: float
    p99: float


class OpenStreams(msgspec.Struct, frozen=True):
    """Many streams at once through one worker."""

    asked: int
    opened: int
    """Got their first chunk."""
    alive: int
    """Got another one when all were open."""
    complete: int
    """Ended with the end marker."""
    kilobytes: float
    """Growth of resident memory, a stream (1 kB = 1,000 bytes)."""
    seconds: float
    """Until all were open."""
    microseconds: float
    """Processor time of the proxy until then, a stream."""

    @property
    def lost(self) -> int:
        """Streams that did not come, stay and end well."""
        return self.asked - min(self.opened, self.alive, self.complete)


class Ask(msgspec.Struct, frozen=True):
    """One round: one checkpoint of trio and one ask with its deadline, in microseconds."""

    checkpoint: float
    ask: float


class FamilyCost(msgspec.Struct, frozen=True):
    """One round under load of a program of several processes, and whose part of it is what.

    ``first``, ``workers`` and ``store``: microseconds a request of the process that was started,
    of the workers below it, and of the embedded store.
    """

    cost: Cost
    """Of all."""
    first: float
    workers: float
    store: float


class ChunkCost(msgspec.Struct, frozen=True):
    """One round of a pair of formats, in microseconds: processor time of service and store."""

    few: float
    """Of a request with a short answer."""
    many: float
    """Of one with a long answer."""
    chunk: float
    """Of each chunk that the long one has more."""


class LinkAsk(msgspec.Struct, frozen=True):
    """One round of asks from one process to another, in microseconds an ask."""

    asking: float
    """Processor time of the process that asks, with 64 waiting."""
    answering: float
    """Likewise of the one that answers."""
    alone: float
    """From the ask to the reply, one at a time."""


class StoreOperation(msgspec.Struct, frozen=True):
    """One round of operations of the store, in microseconds each."""

    client: float
    """Processor time of the process that asks, with 64 waiting."""
    server: float
    """Likewise of the Valkey."""
    alone: float
    """From asking to the answer, one at a time."""


class LimitKeys(msgspec.Struct, frozen=True):
    """Many callers, of each of whom one request was taken from a limit of a second."""

    callers: int
    by_store: int
    """Of them, those that the store decided about."""
    worker: float
    """Growth of the worker's resident memory, in MB."""
    store: float
    """Likewise of the Valkey, as soon as all were taken."""
    expired: int
    """Keys that the store let expire."""
    left: int
    """Keys that it still had when it had had half a minute for that."""

    @property
    def forgotten(self) -> bool:
        """Whether the store knew all of the callers, and knows none."""
        return self.by_store == self.expired == self.callers and not self.left


class Scrape(msgspec.Struct, frozen=True):
    """One round of scrapes under two workers: milliseconds of processor time, a scrape."""

    worker: float
    """Of the worker that answers."""
    others: float
    """Of the other worker, which gives its share."""
    host: float
    """Which adds up and renders."""


class Machine(msgspec.Struct, frozen=True):
    """What it was measured on."""

    cores: int
    python: str
    optimized: bool
    """Whether this Python was built with ``--enable-optimizations``, as distributions do."""
    kernel: str
    descriptors: int
    one_core: bool


class Results(msgspec.Struct):
    """All that one run found; rounds by contestant. What was not measured is empty."""

    machine: Machine
    costs: dict[str, dict[str, list[Cost]]] = {}
    """By kind of stream, then by contestant."""
    first_chunk: dict[str, list[FirstChunk]] = {}
    """By contestant, and ``direct``: the same load on the upstream itself."""
    open_streams: dict[str, OpenStreams] = {}
    leaving: dict[str, list[float]] = {}
    """Milliseconds from a client's leaving to the close of the provider's connection."""
    asks: list[Ask] = []
    workers: dict[str, dict[str, list[FamilyCost]]] = {}
    """By kind of stream, then by number of workers."""
    resilience: dict[str, dict[str, list[FamilyCost]]] = {}
    """By kind of stream, then ``off`` or ``on``: breakers and limits."""
    translated: dict[str, dict[str, list[ChunkCost]]] = {}
    """By the client's format, then by the provider's."""
    spread: dict[str, list[list[int]]] = {}
    """By the way of opening: the long streams of each process that has some, crowd by crowd."""
    limit_keys: LimitKeys | None = None
    link_asks: list[LinkAsk] = []
    store: list[StoreOperation] = []
    scrapes: list[Scrape] = []
    scraped: dict[str, list[FirstChunk]] = {}
    """Time to the first chunk through two workers, while nobody scrapes and while somebody does."""
    missing: list[str] = []
    """What was left out because something is not installed."""
    failed: list[str] = []
    """Measurements that were begun and came to nothing, and why."""


DIRECT = "direct"


def spread(values: Sequence[float]) -> Spread:
    """The median, the lowest and the highest of one value or more."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def cost_ratio(results: Results, kind: str, ours: str, theirs: str) -> Spread | None:
    """How many times as much processor time ``ours`` took: round by round, then the median.

    Both were measured right after one another in each round, so that what disturbed one
    disturbed the other.
    """
    rounds = results.costs.get(kind, {})
    return _ratio(rounds.get(ours, []), rounds.get(theirs, []))


def family_ratio(
    found: Mapping[str, Mapping[str, Sequence[FamilyCost]]], kind: str, ours: str, theirs: str
) -> Spread | None:
    """`cost_ratio` of two services, all their processes and the store counted together.

    ``found``: `Results.workers` or `Results.resilience`.
    """
    rounds = found.get(kind, {})
    return _ratio(
        [each.cost for each in rounds.get(ours, [])],
        [each.cost for each in rounds.get(theirs, [])],
    )


def translated_ratio(results: Results, client: str, provider: str) -> Spread | None:
    """How many times as much a chunk of ``provider``'s format cost as one of the client's own.

    Round by round, then the median.
    """
    rounds = results.translated.get(client, {})
    pairs = zip(rounds.get(provider, []), rounds.get(client, []), strict=False)
    ratios = [one.chunk / own.chunk for one, own in pairs]
    return spread(ratios) if ratios else None


def busiest(results: Results) -> dict[str, Spread]:
    """By the way of opening: the part (0 to 1) of the streams that the busiest process had."""
    return {
        way: spread([max(held) / sum(held) for held in crowds])
        for way, crowds in results.spread.items()
        if crowds
    }


def added(results: Results, contestant: str) -> tuple[Spread, Spread] | None:
    """What a contestant adds to P50 and P99 of the time to the first chunk, in ms."""
    rounds = list(
        zip(
            results.first_chunk.get(contestant, []),
            results.first_chunk.get(DIRECT, []),
            strict=False,
        )
    )
    if not rounds:
        return None
    return (
        spread([proxied.p50 - direct.p50 for proxied, direct in rounds]),
        spread([proxied.p99 - direct.p99 for proxied, direct in rounds]),
    )


def ask_ratio(results: Results) -> Spread | None:
    """How many checkpoints one ask costs."""
    ratios = [found.ask / found.checkpoint for found in results.asks]
    return spread(ratios) if ratios else None


def _ratio(ours: Sequence[Cost], theirs: Sequence[Cost]) -> Spread | None:
    pairs = zip(ours, theirs, strict=False)
    ratios = [one.microseconds / other.microseconds for one, other in pairs]
    return spread(ratios) if ratios else None
