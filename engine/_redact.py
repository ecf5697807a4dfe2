"""Makes a value fit to be shown: plain data, bounded, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

MASK: Final = "***"
DEPTH: Final = 6
WIDTH: Final = 32
"""Items shown of a collection."""
LENGTH: Final = 400
"""Characters shown of a text."""

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

    __slots__ = ("_met",)

    def __init__(self) -> None:
        self._met: set[str] = set()

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
        if depth >= DEPTH:
            return f"<{type(value).__name__}>"
        return self._compound(value, depth)

    def _compound(self, value: object, depth: int) -> Any:
        shown = _safe_repr(value)
        if "Secret" in shown and not isinstance(value, msgspec.Struct | Mapping | list | tuple):
            self._remember(value)
            return MASK
        if isinstance(value, msgspec.Struct):
            return self._struct(value, depth)
        if isinstance(value, Mapping):
            return self._fields([(str(k), v) for k, v in value.items()], depth)
        if isinstance(value, list | tuple | set | frozenset):
            items = list(value)[:WIDTH]
            return [self.value(item, depth + 1) for item in items]
        return _shorten(shown)

    def _struct(self, value: msgspec.Struct, depth: int) -> Any:
        if "Secret" in type(value).__name__:
            self._remember(value)
            return MASK
        fields = [(name, getattr(value, name)) for name in value.__struct_fields__]
        return {"type": type(value).__name__, **self._fields(fields, depth)}

    def _fields(self, fields: list[tuple[str, object]], depth: int) -> dict[str, Any]:
        return {name: self._field(name, value, depth) for name, value in fields[:WIDTH]}

    def _field(self, name: str, value: object, depth: int) -> Any:
        if value is not None and names_a_secret(name):
            self._remember(value)
            return MASK
        return self.value(value, depth + 1)

    def _remember(self, value: object) -> None:
        """Keep the texts inside a secret; not the short ones, which would strike out words."""
        if isinstance(value, str) and len(value) > 3:
            self._met.add(value)
        elif isinstance(value, bytes) and len(value) > 3:
            self._met.add(value.decode("latin-1"))
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                self._remember(getattr(value, name))
        elif isinstance(value, Mapping):
            for item in value.values():
                self._remember(item)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                self._remember(item)


def _shorten(text: str) -> str:
    return text if len(text) <= LENGTH else f"{text[:LENGTH]}… ({len(text)} characters)"


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as fault:  # noqa: BLE001 -- a stranger's repr must not crash a crash report
        return f"<{type(value).__name__}: repr raised {type(fault).__name__}>"
