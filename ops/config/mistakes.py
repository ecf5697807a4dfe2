"""How a configuration's mistakes are told: where, which key, what is wrong, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

import msgspec

_SHOWN: Final = 60


class Mistake(msgspec.Struct, frozen=True):
    """One thing that keeps the service from starting."""

    place: str
    """``sluice.toml:12``, an environment variable, or a command-line option."""
    key: str
    """``connections.limit``; empty when it concerns no single key."""
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.place, self.key, self.problem) if part)
        return f"{said}; allowed: {self.allowed}" if self.allowed else said


class Notice(msgspec.Struct, frozen=True):
    """Something the operator should know, with which the service starts all the same."""

    place: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.text) if part)


class ConfigurationError(Exception):
    """A configuration with mistakes: all of them, in the order of the file."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class Refused(Exception):  # noqa: N818 -- never leaves this package: a rule's word for "not this"
    """A rule refuses a value. The text says what is wrong with it, and quotes no secret."""


def shown(value: object) -> str:
    """``value`` as it would stand in TOML, cut short; what is wrong is told after it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = f'"{value}"'
        return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}..."'
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number beyond 64 bits"
    if isinstance(value, int | float):
        return str(value)
    return a_kind(value)


def a_kind(value: object) -> str:
    """What kind of TOML value it is, in words."""
    kinds = {
        bool: "true or false",
        str: "a text",
        int: "a number",
        float: "a number",
        list: "an array",
        dict: "a table",
    }
    return kinds.get(type(value), "a date or a time")


def suggestion(word: str, known: Iterable[str]) -> str:
    """``, did you mean "limit"?``, or nothing when no known word is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""


def dotted(path: Iterable[str | int]) -> str:
    """A path as an operator writes it: ``models."gpt-4.1".timeouts.idle``.

    Numbers of array items are left out: the line and the quoted value tell which one.
    """
    return ".".join(_quoted(name) for name in path if isinstance(name, str))


def _quoted(name: str) -> str:
    plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if plain else f'"{name}"'
