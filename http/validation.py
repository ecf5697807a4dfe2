"""How every request for a completion is read, in whatever format, and what it must say.

Only types are checked (and that what must be there is): whether a temperature of 7 makes sense
is the provider's to say. Fields we do not know are not looked at, and reach the provider byte
for byte. A field that is given twice counts, for us and for the provider, as its last value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from .json_body import check_shape, check_text, decode, invalid

Raw = msgspec.Raw
Fields = dict[str, Raw]
"""An object's fields as they came, in their order."""

T = TypeVar("T")

_fields: Final = msgspec.json.Decoder(Fields)
_encode: Final = msgspec.json.Encoder().encode


class Conversation(Protocol):
    """What every request for a completion says, in whatever format."""

    @property
    def model(self) -> str:
        """As the client calls it."""

    @property
    def messages(self) -> Sequence[object]:
        """What was said so far."""


def read_request(
    body: bytes, depth: int, decoder: msgspec.json.Decoder[T], check: Callable[[T], None]
) -> tuple[T, Fields]:
    """The request in ``body`` as ``decoder``'s type, and its fields. Raises a 400 `Failure`.

    ``depth`` bounds how deep its arrays and objects may nest; ``check`` raises for what types
    cannot say.
    """
    check_text(body)
    check_shape(body, depth)
    request = decode(body, decoder)
    check(request)
    return request, _fields.decode(body)


def check_conversation(request: Conversation) -> None:
    """Raise a 400 `Failure` if there is no model's name, or no message."""
    check_model(request.model)
    check_messages(request.messages)


def check_model(model: str) -> None:
    """Raise a 400 `Failure` for a name that is empty."""
    if not model:
        raise invalid("model must not be empty.", code="invalid_value", param="model")


def check_messages(messages: Sequence[object]) -> None:
    """Raise a 400 `Failure` if there are none."""
    if not messages:
        raise invalid("messages must not be empty.", code="empty_array", param="messages")


def encoded(value: object) -> Raw:
    """``value`` as JSON, to stand among `Fields`."""
    return Raw(_encode(value))
