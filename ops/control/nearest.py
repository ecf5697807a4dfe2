"""The paths that somebody may have meant who named one that is not there. All pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_MOST: Final = 3
_SHOWN: Final = 12
"""Paths that are listed where nothing like one is there; of workers there may be a hundred."""
_CLOSE: Final = 0.6
"""How much of a word has to be right, by `difflib`: one letter in three may be wrong."""


def nearest(path: str, known: Iterable[str]) -> list[str]:
    """At most three of ``known``, best first: the same actor elsewhere, else what looks like it."""
    paths = [each for each in known if each]
    same = [each for each in paths if _name(each) == _name(path)]
    if same:
        return same[:_MOST]
    names = dict.fromkeys(_name(each) for each in paths)
    close = get_close_matches(_name(path), names, _MOST, _CLOSE)
    found = [each for name in close for each in paths if _name(each) == name]
    _, _, process = path.partition("@")
    found.sort(key=lambda each: each.partition("@")[2] != process)
    return found[:_MOST]


def nothing_at(path: str, known: Iterable[str]) -> str:
    """What an operator is told of a path that is not there."""
    paths = [each for each in known if each]
    meant = nearest(path, paths)
    if meant:
        return f"there is nothing at {path!r}; did you mean {' or '.join(meant)}?"
    return f"there is nothing at {path!r}; there are: {_told(paths)}"


def _told(paths: list[str]) -> str:
    if len(paths) <= _SHOWN:
        return ", ".join(paths)
    shown = [each for each in paths if "@" not in each][:_SHOWN]
    return f"{', '.join(shown)}; `sluice tree` shows all {len(paths)}"


def _name(path: str) -> str:
    """The actor's own name: of ``providers/openai@worker-1``, ``openai``."""
    return path.partition("@")[0].rpartition("/")[2]
