"""What may cross a link: the registered types of message, and nothing else.

Nothing is ever imported, called or made because a peer named it: a name that is not registered
is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.msgpack import Decoder, Encoder

from ._actor import reply_type
from ._message import Message

ENCODER = Encoder()


class Protocol:
    """The types of `Message` that may cross a link, either way; both ends need the same ones.

    A type travels under its class's name. Messages and replies are encoded as msgpack by msgspec
    and decoded to exactly the declared types: fields that are not known are ignored, so that one
    end may be newer by a field with a default.

    Raises `TypeError` for what is no message, or has a reply that msgspec cannot decode, and
    `ValueError` for two types of one name.
    """

    def __init__(self, messages: Iterable[type[Message[Any]]]) -> None:
        self._messages: dict[str, Decoder[Any]] = {}
        self._replies: dict[type[Message[Any]], Decoder[Any]] = {}
        for message_type in messages:
            self._register(message_type)

    def __contains__(self, message_type: object) -> bool:
        return message_type in self._replies

    def __repr__(self) -> str:
        return f"<Protocol {', '.join(self._messages)}>"

    def _register(self, message_type: Any) -> None:
        if not (isinstance(message_type, type) and issubclass(message_type, Message)):
            raise TypeError(f"{message_type!r} is no type of Message")
        name = message_type.__name__
        if name in self._messages:
            raise ValueError(f"two types of message are called {name}")
        self._messages[name] = Decoder(message_type)
        self._replies[message_type] = Decoder(reply_type(message_type))

    def decode_message(self, name: str, body: msgspec.Raw) -> Message[Any]:
        """The message of the type ``name``. Raises `ValueError` for one that is wrong."""
        decoder = self._messages.get(name)
        if decoder is None:
            known = ", ".join(sorted(self._messages))
            raise ValueError(f"no type of message {name[:64]!r}; there are: {known}")
        message: Message[Any] = decoder.decode(body)
        return message

    def decode_reply(self, message: Message[Any], body: msgspec.Raw) -> Any:
        """The reply to ``message``. Raises `ValueError` for one that is wrong."""
        return self._replies[type(message)].decode(body)


def encode(value: object) -> msgspec.Raw:
    """The bytes of a message or a reply. Raises `TypeError` for what msgspec cannot encode."""
    return msgspec.Raw(ENCODER.encode(value))
