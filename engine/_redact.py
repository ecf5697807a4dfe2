"""Makes a value fit to be shown: plain data, bounded, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec

MASK: Final = "***"
DEPTH: Final = 6
WIDTH: Final = 32
"""Items shown of a collection."""
LENGTH: Final = 400
"""Characters shown of a text."""
VALUES: Final = 2000
"""Compound values looked into, in all: a report is made while its actor's mail waits."""
SHORTEST: Final = 4
"""Characters of a secret that is struck out of texts; a shorter one would strike out words."""

_WORDS: Final = frozenset(
    {"key", "keys", "token", "secret", "password", "passwd", "passphrase", "authorization"}
    | {"credential", "credentials", "cookie", "auth", "apikey", "bearer"}
)
_INSIDE: Final = ("secret", "password", "passwd", "authorization", "apikey", "credential")
_SPLIT: Final = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


def names_a_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: ``api_key``, ``authToken``, ``password2`` …

    ``max_tokens`` does not: counts of tokens are what this product's users want to see.
    """
    lowered = name.lower()
    if any(word in lowered for word in _INSIDE):
        return True
    return any(part.lower() in _WORDS for part in _SPLIT.split(name))


class Redactor:
    """Redacts values, and remembers the secrets it met, to strike them out of texts as well."""

    __slots__ = ("_budget", "_met")

    def __init__(self) -> None:
        self._met: set[str] = set()
        self._budget = VALUES

    def text(self, text: str) -> str:
        """``text`` without the secrets that `value` has met so far."""
        for secret in sorted(self._met, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def value(self, value: object, depth: int = 0) -> Any:
        """``value`` as plain data (None, bool, numbers, str, list, dict)."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return _shorten(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        return self._compound(value, depth)

    def _compound(self, value: object, depth: int) -> Any:
        shown = _safe_repr(value)
        parts = _fields(value)
        if _is_hidden(value, shown, has_parts=parts is not None):
            self._remember(value)
            return MASK
        self._budget -= 1
        if depth >= DEPTH or self._budget < 0:
            self._remember(value)
            return f"<{type(value).__name__}>"
        if parts is not None:
            named = {name: self._field(name, item, depth) for name, item in parts[:WIDTH]}
            return named if isinstance(value, Mapping) else {"type": type(value).__name__, **named}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in list(value)[:WIDTH]]
        return _shorten(shown)

    def _field(self, name: str, value: object, depth: int) -> Any:
        if value is not None and names_a_secret(name):
            self._remember(value)
            return MASK
        return self.value(value, depth + 1)

    def _remember(self, value: object, depth: int = 0) -> None:
        """Keep the texts inside a secret; not the short ones, which would strike out words."""
        if isinstance(value, bytes | bytearray):
            value = value.decode("latin-1")
        if isinstance(value, str):
            if len(value) >= SHORTEST:
                self._met.add(value)
            return
        parts = _fields(value)
        items: list[object] = [item for _, item in parts] if parts is not None else []
        if isinstance(value, list | tuple | set | frozenset):
            items = list(value)
        self._budget -= 1
        if depth < DEPTH and self._budget > -VALUES:
            for item in items[:WIDTH]:
                self._remember(item, depth + 1)


def _fields(value: object) -> list[tuple[str, object]] | None:
    """The named parts of ``value``; None if it has none."""
    if isinstance(value, Mapping):
        return [(str(name), item) for name, item in value.items()]
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in fields(value)]
    return None


def _is_hidden(value: object, shown: str, *, has_parts: bool) -> bool:
    """Whether ``value`` says of itself that it is a secret; not whether it holds one."""
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return False
    return "Secret" in (shown.split("(", 1)[0] if has_parts else shown)


def _shorten(text: str) -> str:
    return text if len(text) <= LENGTH else f"{text[:LENGTH]}… ({len(text)} characters)"


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as fault:  # noqa: BLE001 -- a stranger's repr must not crash a crash report
        return f"<{type(value).__name__}: repr raised {type(fault).__name__}>"
