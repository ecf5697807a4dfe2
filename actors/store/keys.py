"""The names of what we keep in the store.

``sluice`` keeps us apart from others in the same database, the version apart from releases that
would not understand what is there.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

PREFIX: Final = "sluice:1:"


def key(kind: str, *parts: str, together: str | None = None) -> str:
    """``sluice:1:KIND:PART:PART``; different parts never make the same key.

    ``together``: keys with the same one lie on the same node of a cluster, as keys of one script
    must: ``sluice:1:KIND:{TOGETHER}:PART``.
    """
    tag = [] if together is None else ["{" + _plain(together) + "}"]
    return PREFIX + ":".join([_plain(kind), *tag, *map(_plain, parts)])


def _plain(part: str) -> str:
    """``part`` without colons and braces, which have a meaning."""
    return part if part.isalnum() and part.isascii() else quote(part, safe="-_./*+@=,")
