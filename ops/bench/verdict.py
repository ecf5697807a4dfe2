"""What is said of one target."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


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
