"""What may cross a link: the registered types of message, and nothing else.

Nothing is ever imported, called or made because a peer named it: a name that is not registered
is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.msgpack import Decoder, Encoder

from ._actor import reply_type
from ._errors import MalformedMessage, MalformedReply, UnknownMessage
from ._message import Message

ENCODER = Encoder()
VALUE: Final = re.compile(r"(Invalid (?:enum )?value) .*?(?= - at `|$)", re.DOTALL)
"""In what msgspec says: the value that it quotes."""


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

    def decode_message(self, path: str, name: str, body: msgspec.Raw) -> Message[Any]:
        """The message of the type ``name`` for ``path``.

        Raises `UnknownMessage` for a type that is not registered, `MalformedMessage`.
        """
        decoder = self._messages.get(name)
        if decoder is None:
            known = ", ".join(sorted(self._messages))
            text = (
                f"{path}: no type of message {name[:64]!r} may cross the link; there are: {known}"
            )
            raise UnknownMessage(path, text)
        try:
            message: Message[Any] = decoder.decode(body)
        except Exception as fault:  # noqa: BLE001 -- a stranger's value, in any type's hands
            raise MalformedMessage(path, f"{path}: {name} is wrong: {say(fault)}") from None
        return message

    def decode_reply(self, path: str, message: Message[Any], body: msgspec.Raw) -> Any:
        """The reply of ``path`` to ``message``. Raises `MalformedReply`."""
        try:
            return self._replies[message.__class__].decode(body)
        except Exception as fault:  # noqa: BLE001 -- a stranger's value, in any type's hands
            text = f"{path}: the reply to {type(message).__name__} is wrong: {say(fault)}"
            raise MalformedReply(path, text) from None


def say(fault: Exception) -> str:
    """What is wrong with a body, and where; not what was in it."""
    if isinstance(fault, ValueError | RecursionError):
        return VALUE.sub(r"\1", str(fault))
    return f"its type raised {type(fault).__name__}"  # in its __post_init__
