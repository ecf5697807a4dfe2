"""What a request costs of two services, beside one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import results
from .contestants import Kind
from .layout import NONE, Row, columns, figure, shown
from .results import FamilyCost

KINDS = {Kind.AT_ONCE: "at once", Kind.PACED: "10 ms apart"}
"""The streams that both are asked for, as tables call them."""


def costs(found: Mapping[str, Mapping[str, Sequence[FamilyCost]]], one: str, other: str) -> str:
    """A row a kind of stream: microseconds of ``one`` and of ``other``, and their ratio.

    ``found``: rounds by kind of stream, then by service.
    """
    rows: list[Row] = [("20 chunks", one, other, "ratio")]
    for kind, label in KINDS.items():
        of = found.get(kind, {})
        ratio = results.family_ratio(found, kind, other, one)
        cells = [
            figure(of.get(name, []), lambda cost: cost.cost.microseconds) for name in (one, other)
        ]
        rows.append((label, *cells, NONE if ratio is None else shown(ratio, 2)))
    return columns(rows)
