"""What the table says about what resilience costs: breakers, limits, other formats."""

from __future__ import annotations

from . import results
from .layout import NONE, Row, columns, shown
from .resilience import OFF, ON
from .results import Results
from .several_table import KINDS, figure


def sections(found: Results) -> list[str]:
    """One text a measurement; empty for what was not measured."""
    return [_costs(found), _parts(found)]


def _costs(found: Results) -> str:
    if not found.resilience:
        return ""
    rows: list[Row] = [("20 chunks", OFF, ON, "ratio")]
    for kind, label in KINDS.items():
        of = found.resilience.get(kind, {})
        ratio = results.resilience_ratio(found, kind, ON, OFF)
        cells = [figure(of.get(name, []), lambda one: one.cost.microseconds) for name in (OFF, ON)]
        rows.append((label, *cells, NONE if ratio is None else shown(ratio, 2)))
    title = "Breakers and limits: processor time of one streamed request in microseconds"
    return f"{title}, service and store\n{columns(rows)}"


def _parts(found: Results) -> str:
    if not found.resilience:
        return ""
    rows: list[Row] = [("20 chunks", "", "service", "store")]
    for kind, label in KINDS.items():
        for name, rounds in found.resilience.get(kind, {}).items():
            parts = (figure(rounds, lambda one: one.first), figure(rounds, lambda one: one.store))
            rows.append((label, name, *parts))
    return "Whose part of that is what\n" + columns(rows)
