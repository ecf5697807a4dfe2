"""What the table says about what resilience costs: breakers, limits, other formats."""

from __future__ import annotations

from . import results, side_by_side
from .dialects import DIALECTS
from .layout import NONE, Row, columns, figure, shown
from .resilience import OFF, ON
from .results import Results
from .side_by_side import KINDS


def sections(found: Results) -> list[str]:
    """One text a measurement; empty for what was not measured."""
    return [_costs(found), _parts(found), _chunks(found), _translated(found), _keys(found)]


def _costs(found: Results) -> str:
    if not found.resilience:
        return ""
    title = "Breakers and limits: processor time of one streamed request in microseconds"
    return f"{title}, service and store\n{side_by_side.costs(found.resilience, OFF, ON)}"


def _parts(found: Results) -> str:
    if not found.resilience:
        return ""
    rows: list[Row] = [("20 chunks", "", "service", "store")]
    for kind, label in KINDS.items():
        for name, rounds in found.resilience.get(kind, {}).items():
            parts = (figure(rounds, lambda one: one.first), figure(rounds, lambda one: one.store))
            rows.append((label, name, *parts))
    return "Whose part of that is what\n" + columns(rows)


def _chunks(found: Results) -> str:
    if not found.translated:
        return ""
    rows: list[Row] = [("client", *(f"from {provider.name}" for provider in DIALECTS))]
    for client, of in found.translated.items():
        cells = [
            figure(of.get(provider.name, []), lambda one: one.chunk, 2) for provider in DIALECTS
        ]
        rows.append((client, *cells))
    title = "Processor time of one more chunk in microseconds, by the client's format"
    return f"{title} and the provider's\n{columns(rows)}"


def _translated(found: Results) -> str:
    if not found.translated:
        return ""
    rows: list[Row] = [("client", *(f"from {provider.name}" for provider in DIALECTS))]
    for client in found.translated:
        ratios = [results.translated_ratio(found, client, provider.name) for provider in DIALECTS]
        rows.append((client, *(NONE if each is None else shown(each, 2) for each in ratios)))
    return "The same, of a chunk in the client's own format\n" + columns(rows)


def _keys(found: Results) -> str:
    keys = found.limit_keys
    if keys is None:
        return ""
    rows: list[Row] = [
        ("decided about by the store", f"{keys.by_store:,}"),
        ("growth of the worker", f"{keys.worker:.1f} MB"),
        ("growth of the store", f"{keys.store:.1f} MB"),
        ("expired in the store", f"{keys.expired:,}"),
        ("left in the store", f"{keys.left:,}"),
    ]
    return f"{keys.callers:,} callers, each with a limit of his own\n{columns(rows)}"
