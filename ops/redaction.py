"""What a log line never shows: secrets and what people wrote to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sluice.actors.settings import Secret

STARS: Final = "***"
_DEPTH: Final = 6
_NAMES: Final = frozenset(
    {
        "apikey",
        "authorization",
        "body",
        "completion",
        "content",
        "cookie",
        "credential",
        "credentials",
        "delta",
        "input",
        "key",
        "messages",
        "output",
        "passphrase",
        "passwd",
        "password",
        "prompt",
        "secret",
        "text",
        "token",
    }
)
"""Keys whose values are hidden, alone or as the last word: ``x-api-key``, ``user_token``."""


def is_private(key: str) -> bool:
    """Whether the value of ``key`` is hidden."""
    return key.lower().replace("-", "_").rpartition("_")[2] in _NAMES


def redact(value: object, depth: int = _DEPTH) -> object:
    """``value`` as plain data without what is private, to a bounded depth."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Secret):
        return STARS
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return _redact_inside(value, depth) if depth else "..."


def _redact_inside(value: object, depth: int) -> object:
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): redact_item(str(key), inner, depth) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(inner, depth - 1) for inner in value]
    return repr(value)


def redact_item(key: str, value: object, depth: int = _DEPTH) -> object:
    """One item of a mapping: hidden for its key, or `redact`-ed."""
    return STARS if is_private(key) else redact(value, depth - 1)
