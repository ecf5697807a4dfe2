"""What resilience may cost."""

from __future__ import annotations

from typing import Final

from . import results
from .contestants import Kind
from .resilience import OFF, ON
from .results import Results
from .verdict import Verdict, limited

_GUARDS: Final = 1.15


def verdicts(found: Results) -> list[Verdict]:
    """Every target, in the order of the table."""
    return [
        _guards(found, Kind.AT_ONCE, "20 chunks at once"),
        _guards(found, Kind.PACED, "20 chunks, 10 ms apart"),
    ]


def _guards(found: Results, kind: Kind, what: str) -> Verdict:
    ratio = results.resilience_ratio(found, kind, ON, OFF)
    return limited(
        f"{what}, breakers and limits: at most {_GUARDS:g} x without",
        None if ratio is None else ratio.median,
        _GUARDS,
        lambda value: f"{value:.2f} x",
    )
