"""What we must reach, and whether a run did."""

from __future__ import annotations

from . import envoy, nginx, ours, resilience_targets, results, several_targets
from .contestants import Kind
from .results import Results
from .verdict import Verdict, limited

STREAMS = 5000
"""The open streams that the target is about; fewer say nothing about it."""


def verdicts(found: Results) -> list[Verdict]:
    """Every target, in the order of the table."""
    return [
        _cost(found, Kind.AT_ONCE, "20 chunks at once", 2.5, None),
        _cost(found, Kind.PACED, "20 chunks, 10 ms apart", 3, 1.6),
        _cost(found, Kind.AT_ONCE_TLS, "20 chunks at once, HTTPS upstream", 4.5, None),
        _cost(found, Kind.PACED_TLS, "20 chunks, 10 ms apart, HTTPS upstream", 3, None),
        *_first_chunk(found),
        _open_streams(found),
        _ask(found),
        *several_targets.verdicts(found),
        *resilience_targets.verdicts(found),
    ]


def missed(judged: list[Verdict]) -> bool:
    """Whether a target that was measured was not reached."""
    return any(verdict.reached is False for verdict in judged)


def _cost(
    found: Results, kind: Kind, what: str, of_nginx: float, of_envoy: float | None
) -> Verdict:
    limits = [(nginx.NAME, of_nginx), *([(envoy.NAME, of_envoy)] if of_envoy else [])]
    ways = " or ".join(f"{limit:g} x {name}" for name, limit in limits)
    ratios = [
        (name, limit, ratio.median)
        for name, limit in limits
        if (ratio := results.cost_ratio(found, kind, ours.NAME, name)) is not None
    ]
    return Verdict(
        f"{what}: at most {ways}",
        ", ".join(f"{ratio:.2f} x {name}" for name, _, ratio in ratios),
        any(ratio <= limit for _, limit, ratio in ratios) if ratios else None,
    )


def _first_chunk(found: Results) -> list[Verdict]:
    spreads = results.added(found, ours.NAME)
    limits = [("P50", 1.0), ("P99", 5.0)]
    return [
        limited(
            f"time to first chunk added, {name}: at most {limit:g} ms",
            None if spreads is None else spreads[number].median,
            limit,
            lambda value: f"{value:.2f} ms",
        )
        for number, (name, limit) in enumerate(limits)
    ]


def _open_streams(found: Results) -> Verdict:
    target = f"{STREAMS:,} open streams in one worker, none lost, at most 40 kB each"
    streams = found.open_streams.get(ours.NAME)
    if streams is None:
        return Verdict(target, "", None)
    told = f"{streams.asked:,} asked, {streams.lost:,} lost, {streams.kilobytes:.1f} kB each"
    if streams.asked < STREAMS:
        return Verdict(target, told, None)
    return Verdict(target, told, not streams.lost and streams.kilobytes <= 40)


def _ask(found: Results) -> Verdict:
    ratio = results.ask_ratio(found)
    return limited(
        "one ask with its deadline: at most 7 x a checkpoint",
        None if ratio is None else ratio.median,
        7,
        lambda value: f"{value:.1f} x",
    )
