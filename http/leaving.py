"""Clients that leave in the middle of an application: no error of it, however it comes out."""

from __future__ import annotations

from sluice.actors.failures import ClientLeft, ClientStalled


def without_leaving(error: BaseException) -> Exception | None:
    """``error`` without the clients that left, which are no error; None if that was all."""
    if isinstance(error, (ClientLeft, ClientStalled)):
        return None
    if isinstance(error, BaseExceptionGroup):
        rest: object = error.split((ClientLeft, ClientStalled))[1]
        return rest if isinstance(rest, Exception) else None
    return error if isinstance(error, Exception) else None
