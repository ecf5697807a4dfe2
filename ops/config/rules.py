"""What a single value may be: one rule a kind, each with the words that tell what is allowed.

A rule reads a TOML value and gives what the program uses, or raises `Refused`. From the
environment a value comes as text; `Rule.decode` makes of it what the file would have held.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

import msgspec

from sluice.actors.settings import MOST_IN_A_WINDOW, Period, Rate, Secret

from .mistakes import Refused, a_kind, shown

_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|kB|MB|GB|KiB|MiB|GiB)?")
_SIZE_UNITS: Final = {
    None: 1,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_RATE: Final = re.compile(r"([0-9]{1,12}) ?/ ?(second|minute|hour|day)")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_BYTES: Final = 64 * 1024


class Context(msgspec.Struct, frozen=True):
    """What a rule may look at besides the value."""

    folder: Path
    """The configuration file's: relative paths start here."""
    environment: Mapping[str, str]
    from_environment: bool = False
    """The value itself came from an environment variable."""


class Rule(msgspec.Struct, frozen=True):
    """``allowed`` completes the sentence "allowed: ..."."""

    allowed: str
    read: Callable[[object, Context], object]
    decode: Callable[[str], object] = str
    private: bool = False
    """Its value is never quoted."""


def _number(text: str) -> object:
    plain = text.strip()
    if _WHOLE.fullmatch(plain):
        return int(plain) if len(text) < 40 else text
    try:
        return float(text)
    except ValueError:
        return text


def _boolean(text: str) -> object:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    return words.get(text.strip().lower(), text)


def _list(text: str) -> object:
    """``a, b`` or a TOML array."""
    if text.strip().startswith("["):
        try:
            return tomllib.loads(f"items = {text}")["items"]
        except tomllib.TOMLDecodeError:
            return text
    return [item.strip() for item in text.split(",") if item.strip()]


def whole(least: int, most: int, what: str = "") -> Rule:
    """A whole number in a range."""

    def read(value: object, _: Context) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused(f"{shown(value)} is not a whole number")
        if not least <= value <= most:
            raise Refused(f"{shown(value)} is out of range")
        return value

    words = f"a whole number from {least} to {most}"
    return Rule(f"{words} ({what})" if what else words, read, _number)


def number(least: float, most: float, what: str = "", *, above: bool = False) -> Rule:
    """A finite number in a range; ``above``: greater than ``least``, not equal to it."""

    def read(value: object, _: Context) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(f"{shown(value)} is not a number")
        if not least <= value <= most or (above and value == least):  # not a number: neither
            raise Refused(f"{shown(value)} is out of range")
        return float(value)

    start = f"above {least:g} and at most" if above else f"from {least:g} to"
    unit = f" ({what})" if what else ""
    return Rule(f"a number {start} {most:g}{unit}", read, _number)


def seconds(most: float = 604_800.0) -> Rule:
    """A time span that is on: there is no zero that means "never"."""
    return number(0, most, "seconds", above=True)


def flag() -> Rule:
    """True or false."""

    def read(value: object, _: Context) -> bool:
        if not isinstance(value, bool):
            raise Refused(f"{shown(value)} is neither true nor false")
        return value

    return Rule("true or false", read, _boolean)


def text_of(value: object) -> str:
    """``value``, if it is a printable text that is not blank."""
    if not isinstance(value, str):
        raise Refused(f"{shown(value)} is {a_kind(value)}, not a text in quotes")
    if not value.strip():
        raise Refused("it is empty")
    if not value.isprintable():
        raise Refused("it holds a control character")
    return value


def text(what: str) -> Rule:
    """Any printable text that is not blank."""
    return Rule(what, lambda value, _: text_of(value))


def choice(*words: str) -> Rule:
    """One of ``words``."""

    def read(value: object, _: Context) -> str:
        word = text_of(value)
        if word not in words:
            raise Refused(f"{shown(value)} is not one of them")
        return word

    return Rule(" or ".join(f'"{word}"' for word in words), read)


def size(least: int, most: int) -> Rule:
    """Bytes, as a number or with a unit."""

    def read(value: object, _: Context) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            count = value
        else:
            found = _SIZE.fullmatch(text_of(value))
            if found is None:
                raise Refused(f"{shown(value)} is not a size")
            count = int(found[1]) * _SIZE_UNITS[found[2]]
        if not least <= count <= most:
            raise Refused(f"{shown(value)} is out of range")
        return count

    allowed = f'bytes from {least} to {most}, such as 1048576, "1MB" or "1MiB"'
    return Rule(allowed, read, _number)


def rate(window: str) -> Rule:
    """``100/minute``, or ``off``; a bare number counts in ``window``, as in the seed's runbook."""

    def read(value: object, _: Context) -> Rate | None:
        if value == "off":
            return None
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**12:
            value = f"{value}/{window}"
        found = _RATE.fullmatch(text_of(value))
        if found is None:
            raise Refused(f"{shown(value)} is not a rate")
        if int(found[1]) < 1:
            raise Refused(f"{shown(value)} would refuse everything")
        if int(found[1]) > MOST_IN_A_WINDOW:
            raise Refused(f"{shown(value)} is more than can be counted in one window")
        return Rate(int(found[1]), cast("Period", found[2]))

    allowed = (
        f'"NUMBER/second", "/minute", "/hour" or "/day" (a bare number is per {window}), of up to'
        f' {MOST_IN_A_WINDOW}, or "off"'
    )
    return Rule(allowed, read, _number)


def items(rule: Rule) -> Rule:
    """An array of what ``rule`` allows, each once; a single text is an array of one."""

    def read(value: object, context: Context) -> tuple[object, ...]:
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list):
            raise Refused(f"{shown(value)} is {a_kind(value)}, not an array")
        found = [rule.read(item, context) for item in listed]
        return tuple(dict.fromkeys(found))

    return Rule(f"an array, each item {rule.allowed}", read, _list)


def path(what: str) -> Rule:
    """A path, of something that need not be there."""
    return Rule(what, lambda value, context: str(resolved(text_of(value), context)))


def resolved(written: str, context: Context) -> Path:
    """``~`` is the home folder, and a relative path starts at the configuration's folder."""
    if not written.isprintable():
        raise Refused("the path holds a control character")
    try:
        return context.folder / Path(written).expanduser()
    except RuntimeError as problem:
        raise Refused(f"{shown(written)}: there is no such home folder") from problem


def secret() -> Rule:
    """``env:NAME`` or ``file:PATH``: the file that is shown around never holds it.

    A variable that overrides the key (``SLUICE_PROVIDERS__OPENAI__API_KEY``) may hold the
    secret itself: that is the same as ``env:`` with its own name.
    """

    def read(value: object, context: Context) -> Secret:
        if not isinstance(value, str):
            raise Refused(f"it is {a_kind(value)}, not a text in quotes")
        kind, _, rest = value.partition(":")
        if kind == "env":
            found = _secret_of_variable(rest, context)
        elif kind == "file":
            found = _secret_of_file(rest, context)
        elif context.from_environment:
            found = value.strip()
        else:
            raise Refused("a secret itself does not belong in this file")
        if not found:
            raise Refused(f"the secret in {value} is empty" if rest else "the secret is empty")
        if not (found.isascii() and found.isprintable()):
            raise Refused("the secret holds characters that no HTTP header can carry")
        return Secret(found)

    allowed = '"env:NAME" (an environment variable) or "file:PATH"'
    return Rule(allowed, read, private=True)


def _secret_of_variable(name: str, context: Context) -> str:
    if not _VARIABLE.fullmatch(name):  # perhaps the secret itself: it is not quoted
        raise Refused('no name of an environment variable follows "env:"')
    if name not in context.environment:
        raise Refused(f"the environment variable {name} is not set")
    return context.environment[name].strip()


def _secret_of_file(name: str, context: Context) -> str:
    place = resolved(name, context)
    try:
        with place.open("rb") as file:
            content = file.read(_SECRET_BYTES + 1)
        if len(content) > _SECRET_BYTES:
            raise Refused(f"{place} is too large for a secret")
        return content.decode().strip()
    except OSError as problem:
        raise Refused(f"{place} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise Refused(f"{place} holds no text") from problem
