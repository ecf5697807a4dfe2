"""Telling an actor something that must never hold up, or fail, the one who tells."""

from __future__ import annotations

from typing import Any

from sluice.engine import ActorStopped, MailboxFull, Message, Ref


def mention(ref: Ref, message: Message[Any]) -> None:
    """`Ref.tell_nowait`, for what is counted: the engine counts what could not be delivered."""
    try:  # noqa: SIM105 -- told three times a request: a context manager would cost as much again
        ref.tell_nowait(message)
    except (ActorStopped, MailboxFull):
        pass
