"""How the table is laid out: columns and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .results import Spread, spread

Row = Sequence[str]
T = TypeVar("T")

NONE = "-"


def columns(rows: Sequence[Row]) -> str:
    """Rows of cells under one another: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  "
        + row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def shown(value: Spread, digits: int = 0) -> str:
    """A median, and in parentheses the lowest and the highest round."""
    return f"{value.median:,.{digits}f} ({value.low:,.{digits}f} to {value.high:,.{digits}f})"


def figure(rounds: Sequence[T], of: Callable[[T], float], digits: int = 0) -> str:
    """What ``of`` finds in each round, shown; `NONE` without rounds."""
    return shown(spread([of(one) for one in rounds]), digits) if rounds else NONE
