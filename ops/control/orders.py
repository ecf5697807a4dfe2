"""What crosses between a host and its workers for operators' sake.

The host asks (`Survey`, `Order`, `LogFrom`) the actor ``control`` of each worker; a worker tells
(`Report`, `Finished`) that of its host.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from sluice.actors.settings import LimitSettings
from sluice.engine import Message

from .protocol import Code, Happened, LogLevel, Node, Outcome

CONTROL: Final = "control"
"""The actor's path, in a host and in a worker."""

Action = Literal["restart", "pause", "resume", "stop"]


class Surveyed(msgspec.Struct, frozen=True):
    """One worker, as it sees itself."""

    state: str
    uptime: float
    actors: int
    crashes: int
    restarts: int
    tree: Node


class Survey(Message[Surveyed], frozen=True):
    """Tell what you are made of."""


class Order(Message[str], frozen=True):
    """Do ``action`` to the actor at ``path``. Answered at once, with who has begun it.

    What it did is told by `Finished`, so that nobody waits who could be asked something else.
    """

    number: int
    action: Action
    path: str


class LogFrom(Message[None], frozen=True):
    """Log from ``level`` on."""

    level: LogLevel


class LimitTo(Message[None], frozen=True):
    """Limit callers so."""

    limits: LimitSettings


class InForce(msgspec.Struct, frozen=True):
    """What the operators of the host have said last, or its configuration."""

    level: LogLevel
    """To log from."""
    limits: LimitSettings


class Refusal(msgspec.Struct, frozen=True):
    """Why an order was not carried out."""

    code: Code
    message: str


class Finished(Message[None], frozen=True):
    """The order ``number`` was carried out, or not."""

    number: int
    outcome: Outcome | None = None
    refusal: Refusal | None = None


class Report(Message[InForce], frozen=True):
    """What happened in ``process``; answered with what is in force there.

    Events count up from 1 in each process, and ``first`` is the number of the first one here:
    what comes twice counts once, and what was dropped is missed.
    """

    process: str
    first: int
    events: list[Happened]
