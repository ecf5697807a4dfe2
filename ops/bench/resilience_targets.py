"""What resilience may cost."""

from __future__ import annotations

from typing import Final

from . import results
from .contestants import Kind
from .resilience import OFF, ON
from .results import Results
from .verdict import Verdict, limited, ratio_limited

_GUARDS: Final = 1.15
_TRANSLATED: Final = 2
CALLERS: Final = 100_000
"""The callers that the target is about; fewer say nothing about it."""
_FLAT: Final = 2.0
"""MB that a worker may grow for them: what its allocator may do at any time."""


def verdicts(found: Results) -> list[Verdict]:
    """Every target, in the order of the table."""
    return [
        _guards(found, Kind.AT_ONCE, "20 chunks at once"),
        _guards(found, Kind.PACED, "20 chunks, 10 ms apart"),
        _translated(found),
        _keys(found),
    ]


def _guards(found: Results, kind: Kind, what: str) -> Verdict:
    target = f"{what}, breakers and limits: at most {_GUARDS:g} x without"
    return ratio_limited(target, results.family_ratio(found.resilience, kind, ON, OFF), _GUARDS)


def _translated(found: Results) -> Verdict:
    """Of all pairs of formats, the dearest."""
    ratios = [
        (ratio.median, f"{client} from {provider}")
        for client, of in found.translated.items()
        for provider in of
        if provider != client
        and (ratio := results.translated_ratio(found, client, provider)) is not None
    ]
    dearest, pair = max(ratios, default=(None, ""))
    return limited(
        f"a translated chunk: at most {_TRANSLATED} x one of the client's own format",
        dearest,
        _TRANSLATED,
        lambda value: f"{value:.2f} x ({pair})",
    )


def _keys(found: Results) -> Verdict:
    target = f"{CALLERS:,} callers: the worker grows at most {_FLAT:g} MB, the store forgets all"
    keys = found.limit_keys
    if keys is None:
        return Verdict(target, "", None)
    told = f"{keys.callers:,} callers, {keys.worker:.1f} MB, {keys.expired:,} expired"
    if keys.callers < CALLERS:
        return Verdict(target, told, None)
    return Verdict(target, f"{told}, {keys.left:,} left", keys.forgotten and keys.worker <= _FLAT)
