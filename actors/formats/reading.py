"""What a provider sent, read as what its format says that it is. Pure.

It is a stranger's: what is not UTF-8, not JSON, nested without end or without what must be there
is a `Failure`, and nothing that somebody said.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from sluice.actors.failures import Failure

T = TypeVar("T")

WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is raised by decoding what is not as it should be."""


class EventType(msgspec.Struct, gc=False):
    """An event of which only the type is known to be as it should."""

    type: str


event_type: Final = msgspec.json.Decoder(EventType)


_SURROGATES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Escapes in JSON. The group is a half of a pair, alone."""


def without_halves(data: bytes) -> bytes:
    """``data`` with U+FFFD for each half of a surrogate pair that is escaped alone.

    JSON allows them (RFC 8259, 8.2), and who cuts a text by its UTF-16 sends them, a half of a
    character in each of two events; as text they are nothing (Web IDL's ``USVString``).
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return data
    return _SURROGATES.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)


def type_of(data: bytes) -> str:
    """An event's type; empty: it has none, or cannot be read."""
    try:
        return event_type.decode(data).type
    except WRONG:
        return ""


def check_utf8(data: bytes) -> None:
    """Refuse what is no UTF-8: the decoder does not look into the fields that it skips."""
    if not data.isascii():
        data.decode()


def read_answer(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """``body``, a whole answer, as ``decoder``'s type. Raises a 502 `Failure`."""
    try:
        check_utf8(body)
        return decoder.decode(body)
    except WRONG as error:
        whole = without_halves(body)
        if whole != body:
            return read_answer(whole, decoder)
        raise malformed("answer", "provider_call") from error


def pass_over(
    data: bytes, known: frozenset[str], error: Exception, *, needed: bool = False
) -> None:
    """Raise a 502 `Failure` for an event that could not be read, which is ``error``.

    Unless it is of a type that is not among the ``known``: such a one may be as it likes.
    ``needed``: without it nothing that follows would be right.
    """
    try:
        if event_type.decode(data).type not in known:
            check_utf8(data)
            return
    except WRONG:
        pass
    raise malformed("answer" if needed else "chunk", "streaming") from error


def malformed(what: str, stage: str) -> Failure:
    """What the provider sent is not what its format says.

    A ``chunk`` of a stream may be left out if it stands alone (`Doubt`), one of an ``answer`` not.
    """
    return Failure(
        "serialization_error",
        "streaming" if stage == "streaming" else "provider_call",
        f"The provider sent a malformed {what}.",
        status=502,
        code="malformed_" + what,
    )
