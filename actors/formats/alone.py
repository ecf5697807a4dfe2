"""Types of what says one thing and nothing else: so that the decoder decides whether it does. Pure.

Each is a part of another type: what can be read as it, can be read as the other too, and says
the same.
"""

from __future__ import annotations

from types import GenericAlias
from typing import Any

import msgspec


def only(whole: type[msgspec.Struct], *unread: str, **said: Any) -> type[Any]:
    """That part of ``whole`` that says no more than ``said``: the types of fields that are there.

    Its other fields are null, or not there at all; but those in ``unread`` may be as they like.
    """
    fields: list[Any] = []
    for field in msgspec.structs.fields(whole):
        if field.name in said:
            fields.append((field.name, said[field.name]))
        elif field.name in unread:
            fields.append((field.name, field.type, field.default))
        else:
            fields.append((field.name, None, None))
    return msgspec.defstruct(f"{whole.__name__}Alone", fields, gc=False, kw_only=True)


def single(item: type[Any]) -> GenericAlias:
    """An array of one ``item``."""
    return GenericAlias(tuple, (item,))
