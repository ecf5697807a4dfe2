"""Walks a tree of TOML values along the schema: valid values on one side, mistakes on the other."""

from __future__ import annotations

from typing import assert_never

import msgspec

from .mistakes import Mistake, Refused, a_kind, dotted, shown, suggestion
from .places import Places
from .rules import Context, Rule
from .schema import SCHEMA, Named, Node, Table
from .toml_lines import Path


class Reader:
    """One reading; ``mistakes`` grows as it goes."""

    def __init__(self, places: Places, context: Context) -> None:
        self.mistakes: list[Mistake] = []
        self._places = places
        self._context = context

    def table(self, path: Path, found: object, table: Table) -> dict[str, object]:
        """What is valid in ``found``; keys that were not set are not in the result."""
        if not isinstance(found, dict):
            allowed = f"[{dotted(path)}] with {', '.join(table.keys)}"
            self._note(path, _no_table(found), allowed)
            return {}
        for missing in sorted(set(table.required) - set(found)):
            node = table.keys[missing]
            allowed = node.allowed if isinstance(node, Rule) else ""
            self._note((*path, missing), "it is missing", allowed)
        values: dict[str, object] = {}
        for key, value in found.items():
            if key in table.keys:
                self._node((*path, key), value, table.keys[key], values)
            else:
                self._unknown((*path, key), table)
        return values

    def _node(self, path: Path, found: object, node: Node, values: dict[str, object]) -> None:
        key = str(path[-1])
        if isinstance(node, Rule):
            try:
                values[key] = node.read(found, self._context_of(path))
            except Refused as problem:
                self._note(path, str(problem), node.allowed)
        elif isinstance(node, Table):
            values[key] = self.table(path, found, node)
        elif isinstance(node, Named):
            values[key] = self._named(path, found, node)
        else:
            assert_never(node)

    def _named(self, path: Path, found: object, named: Named) -> dict[str, object]:
        if not isinstance(found, dict):
            self._note(path, _no_table(found), f"[{dotted(path)}.NAME] for each {named.what}")
            return {}
        values: dict[str, object] = {}
        for name, entry in found.items():
            try:
                named.name.read(name, self._context)
            except Refused as problem:
                self._note((*path, name), str(problem), named.name.allowed)
            values[name] = {**self.table((*path, name), entry, named.entry), "name": name}
        return values

    def _context_of(self, path: Path) -> Context:
        overridden = self._places.overridden(path)
        return msgspec.structs.replace(self._context, from_environment=overridden)

    def _unknown(self, path: Path, table: Table) -> None:
        key = str(path[-1])
        hint = suggestion(key, table.keys) or _elsewhere(key)
        self._note(path, f"unknown key{hint}", ", ".join(table.keys))

    def _note(self, path: Path, problem: str, allowed: str) -> None:
        self.mistakes.append(Mistake(self._places.find(path), dotted(path), problem, allowed))


def _no_table(found: object) -> str:
    """What stands where a table belongs. A text is not quoted: it may be a misplaced secret."""
    what = "it" if isinstance(found, str) else shown(found)
    return f"{what} is {a_kind(found)}, not a table"


def _elsewhere(key: str) -> str:
    """A hint when ``key`` exists, but in another table."""
    homes = [
        f"[{name}]"
        for name, node in SCHEMA.keys.items()
        if isinstance(node, Table) and key in node.keys
    ]
    return f", it belongs in {' or '.join(homes)}" if homes else ""
