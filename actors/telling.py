"""Telling an actor something that must never hold up, or fail, the one who tells."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sluice.engine import ActorStopped, MailboxFull, Message, Ref


def mention(ref: Ref, message: Message[Any]) -> None:
    """`Ref.tell_nowait`, for what is counted: the engine counts what could not be delivered."""
    with suppress(ActorStopped, MailboxFull):
        ref.tell_nowait(message)
