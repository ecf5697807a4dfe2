"""From a file, the environment and the command line to a `Config`, or to all the mistakes."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from . import toml_lines
from .crosscheck import crosscheck
from .environment import KeyPath, Override, override, overrides
from .mistakes import ConfigurationError, Mistake, Notice
from .places import Places
from .reading import Reader
from .rules import Context
from .schema import SCHEMA
from .sections import Config

_BYTES: Final = 16 * 1024 * 1024
_AT_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Document(msgspec.Struct, frozen=True):
    """A parsed file: its tree, and the line of every key."""

    name: str
    tree: dict[str, object]
    lines: dict[toml_lines.Path, int]


def load(
    file: str | None,
    environment: Mapping[str, str] = os.environ,
    options: Mapping[str, tuple[KeyPath, str]] | None = None,
) -> Config:
    """The configuration of ``file`` (None: no file), overridden by ``environment``.

    ``options`` override both: the option's name to its key and text. Raises
    `ConfigurationError` with every mistake there is.
    """
    document = _document(file)
    found = overrides(environment, document.tree)
    found.overrides += [override(name, *rest) for name, rest in (options or {}).items()]
    places = Places(document.name, dict(document.lines))
    for change in found.overrides:
        _apply(document.tree, change, places)
    reader = Reader(places, Context(_folder(file), environment))
    values = reader.table((), document.tree, SCHEMA)
    more, notices = crosscheck(values, document.tree, places)
    mistakes = found.mistakes + reader.mistakes + more
    if mistakes:
        raise ConfigurationError(sorted(mistakes, key=places.order))
    return _config(values, document.name, (*found.notices, *notices))


def control_values(
    file: str | None, environment: Mapping[str, str] = os.environ
) -> dict[str, dict[str, Any]]:
    """``[control]`` and ``[server] data_dir``, as far as set: where a running service is.

    Nothing else is looked at, so that no provider's secret has to be at hand. Raises
    `ConfigurationError` like `load`.
    """
    document = _document(file)
    places = Places(document.name, dict(document.lines))
    for change in overrides(environment, document.tree).overrides:
        _apply(document.tree, change, places)
    wanted = {"server": {"data_dir"}, "control": {"address", "token"}}
    tree = {
        name: {key: value for key, value in table.items() if key in wanted[name]}
        for name, table in document.tree.items()
        if name in wanted and isinstance(table, dict)
    }
    reader = Reader(places, Context(_folder(file), environment))
    values = reader.table((), tree, SCHEMA)
    if reader.mistakes:
        raise ConfigurationError(sorted(reader.mistakes, key=places.order))
    return cast("dict[str, dict[str, Any]]", values)


def _folder(file: str | None) -> Path:
    """Where relative paths start."""
    return Path(file).resolve().parent if file is not None else Path.cwd()


def _document(file: str | None) -> Document:
    if file is None:
        return Document("", {}, {})
    text = _text(file)
    try:
        return Document(file, tomllib.loads(text), toml_lines.locate(text))
    except tomllib.TOMLDecodeError as problem:
        raise ConfigurationError([_syntax(file, text, str(problem))]) from problem
    except ValueError as problem:  # Python's own bound on the digits of a number
        raise ConfigurationError([Mistake(file, "", "a number is too long")]) from problem
    except RecursionError as problem:
        mistake = Mistake(file, "", "arrays or tables are nested too deeply")
        raise ConfigurationError([mistake]) from problem


def _text(file: str) -> str:
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(_BYTES + 1)
    except OSError as problem:
        mistake = Mistake(file, "", f"cannot be read: {problem.strerror}")
        raise ConfigurationError([mistake]) from problem
    if len(content) > _BYTES:
        raise ConfigurationError([Mistake(file, "", "is too large", f"{_BYTES} bytes")])
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        mistake = Mistake(f"{file}:{line}", "", "is not UTF-8")
        raise ConfigurationError([mistake]) from problem


def _syntax(file: str, text: str, problem: str) -> Mistake:
    found = _AT_LINE.search(problem)
    said = _AT_LINE.sub("", problem)
    if found and found[1]:
        line = int(found[1])
    else:
        line = text.rstrip().count("\n") + 1
        said += " before the end"
    return Mistake(f"{file}:{line}", "", f"not TOML: {said[:1].lower()}{said[1:]}")


def _apply(tree: dict[str, object], change: Override, places: Places) -> None:
    """Set one key; where the file has no table in its way, the file's mistake is told."""
    table = tree
    for name in change.path[:-1]:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        table = inner
    table[change.path[-1]] = change.value
    places.override(change.path, change.place)


def _config(values: dict[str, object], source: str, notices: tuple[Notice, ...]) -> Config:
    """The structs of ``values``, which the rules have checked and the structs' types confirm.

    A model's own timeouts come before its provider's, and those before ``[timeouts]``, one by one.
    """
    everywhere = cast("dict[str, float]", values.get("timeouts", {}))
    providers = cast("dict[str, dict[str, Any]]", values.get("providers", {}))
    models = {
        name: {**model, "timeouts": everywhere | _timeouts(providers, model) | _own(model)}
        for name, model in cast("dict[str, dict[str, Any]]", values.get("models", {})).items()
    }
    store = values.get("store", {})
    told = {"models": models, "store": store, "source": source, "notices": notices}
    config = msgspec.convert({**values, **told}, Config)
    return config if "connections" in _edge_limits(values) else _room_for_all(config)


def _timeouts(providers: dict[str, dict[str, Any]], model: dict[str, Any]) -> dict[str, float]:
    """Those of the model's provider."""
    return _own(providers[model["provider"]])


def _own(table: dict[str, Any]) -> dict[str, float]:
    own: dict[str, float] = table.get("timeouts", {})
    return own


def _edge_limits(values: dict[str, Any]) -> dict[str, object]:
    limits: dict[str, object] = values.get("server", {}).get("limits", {})
    return limits


def _room_for_all(config: Config) -> Config:
    """Room at the edge for twice the streams, so that who comes too much is told so."""
    limits = config.server.limits
    room = max(limits.connections, 2 * config.connections.limit)
    server = replace(config.server, limits=replace(limits, connections=room))
    return replace(config, server=server)
