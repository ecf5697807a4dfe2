"""Environment variables that override keys: ``SLUICE_CONNECTIONS__LIMIT=100``.

Two underscores separate tables and keys. Names that the operator chose are matched without
regard to case and punctuation: ``SLUICE_MODELS__GPT_4O_MINI__PROVIDER`` is the provider of
``[models."gpt-4o-mini"]``. A variable ``SLUICE_...`` without two underscores is not ours
(Kubernetes sets ``SLUICE_SERVICE_HOST`` for a service of that name).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .mistakes import Mistake, Notice, suggestion
from .rules import Rule
from .schema import SCHEMA, SEED_NAMES, Named, Node, Table

PREFIX: Final = "SLUICE_"
_SEPARATOR: Final = "__"

KeyPath = tuple[str, ...]


class Override(msgspec.Struct, frozen=True):
    """One key set from outside the file. ``value`` is what TOML would have held."""

    place: str
    path: KeyPath
    value: object


class Found(msgspec.Struct):
    """All that the environment says."""

    overrides: list[Override]
    mistakes: list[Mistake]
    notices: list[Notice]


def variable(path: Iterable[str]) -> str:
    """The variable that overrides the key at ``path``."""
    return PREFIX + _SEPARATOR.join(_plain(name) for name in path)


def overrides(environment: Mapping[str, str], tree: Mapping[str, object]) -> Found:
    """The keys that ``environment`` sets, given the names that ``tree`` (the file) has.

    A variable of ours comes after one of the seed's for the same key, and so wins.
    """
    found = Found([], [], [])
    for name, path in SEED_NAMES.items():
        if name in environment:
            found.overrides.append(override(name, path, environment[name]))
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        if _SEPARATOR in name:
            _read(name, environment[name], tree, found)
        elif name in _NEAR_MISSES:
            meant = _NEAR_MISSES[name]
            found.notices.append(Notice(name, "", f"this variable is not read; {meant} is"))
    return found


def override(place: str, path: KeyPath, text: str) -> Override:
    """``text`` as the value of the key at ``path``, decoded by its rule."""
    rule = _node(path)
    return Override(place, path, rule.decode(text) if isinstance(rule, Rule) else text)


def _read(name: str, text: str, tree: Mapping[str, object], found: Found) -> None:
    path = _resolve(name, tree)
    if isinstance(path, Mistake):
        found.mistakes.append(path)
    else:
        found.overrides.append(override(name, path, text))


def _resolve(name: str, tree: Mapping[str, object]) -> KeyPath | Mistake:
    """The key that ``name`` means."""
    node: Node = SCHEMA
    here: object = tree
    path: list[str] = []
    for part in name.removeprefix(PREFIX).split(_SEPARATOR):
        if isinstance(node, Rule):
            return Mistake(name, ".".join(path), f"nothing follows this key, so not {part!r}")
        key = _key(name, part, node, here)
        if isinstance(key, Mistake):
            return key
        node = node.keys[key] if isinstance(node, Table) else node.entry
        here = here.get(key) if isinstance(here, dict) else None
        path.append(key)
    if isinstance(node, Rule):
        return tuple(path)
    inner = node.keys if isinstance(node, Table) else ("NAME",)
    allowed = ", ".join(f"{name}{_SEPARATOR}{_plain(key)}" for key in inner)
    return Mistake(name, ".".join(path), "this is a table, not a key", allowed)


def _key(variable_name: str, part: str, node: Table | Named, here: object) -> str | Mistake:
    """The key or the chosen name that ``part`` stands for."""
    if isinstance(node, Table):
        key = part.lower()
        if key in node.keys:
            return key
        allowed = ", ".join(_plain(known) for known in node.keys)
        hint = suggestion(part, node.keys).upper().replace("DID YOU MEAN", "did you mean")
        return Mistake(variable_name, "", f'"{part}" is no known key{hint}', allowed)
    names = (
        [name for name in here if _plain(name) == part.upper()] if isinstance(here, dict) else []
    )
    if len(names) > 1:
        both = " and ".join(f'"{name}"' for name in names)
        return Mistake(variable_name, "", f'"{part}" may mean {both}', "the file")
    return names[0] if names else part.lower()


def _plain(name: str) -> str:
    """``gpt-4o-mini`` as a variable has it: ``GPT_4O_MINI``."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()


def _node(path: KeyPath) -> Node:
    node: Node = SCHEMA
    for name in path:
        if isinstance(node, Table):
            node = node.keys[name]
        elif isinstance(node, Named):
            node = node.entry
    return node


def _fixed_keys(table: Table, path: KeyPath = ()) -> Iterable[KeyPath]:
    """Every key that has a variable of fixed name."""
    for name, node in table.keys.items():
        if isinstance(node, Rule):
            yield (*path, name)
        elif isinstance(node, Table):
            yield from _fixed_keys(node, (*path, name))


_NEAR_MISSES: Final = {
    variable(path).replace(_SEPARATOR, "_"): variable(path) for path in _fixed_keys(SCHEMA)
}
"""Ours with one underscore where two belong."""
