"""What is said of one target."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .results import Spread


class Verdict(msgspec.Struct, frozen=True):
    """One target and how it went."""

    target: str
    found: str
    """In words; empty when it was not measured."""
    reached: bool | None
    """None: not measured."""


def limited(
    target: str, value: float | None, limit: float, words: Callable[[float], str]
) -> Verdict:
    """The verdict on a value that must not exceed ``limit``; None: it was not measured."""
    if value is None:
        return Verdict(target, "", None)
    return Verdict(target, words(value), value <= limit)


def ratio_limited(target: str, ratio: Spread | None, limit: float) -> Verdict:
    """`limited`, of the median of a ratio."""
    return limited(
        target, None if ratio is None else ratio.median, limit, lambda value: f"{value:.2f} x"
    )
