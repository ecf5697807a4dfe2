"""Messages: msgspec structs that know the type of their reply."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

R = TypeVar("R")


class Message(msgspec.Struct, Generic[R], frozen=True):
    """What actors are asked and told. Subclass it with the type of the reply::

        class Acquire(Message[Granted], frozen=True):
            stream: str

    ``await ref.ask(Acquire("s1"))`` is then a ``Granted``, for mypy too. A message that is only
    told, and never asked, is a ``Message[None]``. Messages are data: frozen, and such that
    msgspec can encode them, because a reference may lead to another process.
    """


class Down(Message[None], frozen=True):
    """An actor that you monitor is gone: the incarnation you monitored, not its address.

    ``reason`` is ``"crashed"``, ``"stopped"`` (by its supervisor or an operator), ``"left"``
    (it ended by itself) or ``"absent"`` (it was not there when you began to monitor).
    """

    path: str
    incarnation: int
    reason: str
    detail: str = ""
