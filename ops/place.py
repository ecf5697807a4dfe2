"""What crosses between a host and its workers, and how they are called."""

from __future__ import annotations

from typing import Any, Final

from sluice.actors.breakers.breakers import AskBulletin, Judged, Probe
from sluice.actors.metrics.metrics import Figures, Render
from sluice.actors.metrics.pages import Rest
from sluice.actors.metrics.shares import GiveShares, TakeShares
from sluice.actors.slots.connections import Count
from sluice.actors.slots.lending import Borrow, Has, Look, Spare
from sluice.actors.streams.streams import Learn, Place
from sluice.engine import Message, Protocol
from sluice.ops.control.orders import Finished, LimitTo, LogFrom, Order, Report, Survey

HOST: Final = "host"
"""The host's name as a process."""

MAIN: Final = "main"
"""What operators call the process of a service that has only one."""

CONFIGURATION: Final = "SLUICE_WORKER_CONFIGURATION"
"""The environment variable that names the descriptor a worker reads its configuration from."""

LISTENING: Final = "SLUICE_WORKER_LISTENING"
"""Likewise the descriptors it accepts connections at, with commas between."""


SPREAD: Final = "SLUICE_WORKER_SPREAD"
"""Likewise the page that the workers share (`sluice.http.spread`), and the worker's place in it."""


class Drain(Message[None], frozen=True):
    """Take no new stream; answered when those that run have ended, well or not."""


_FOR_OPERATORS: Final[list[type[Message[Any]]]] = [
    *(Survey, Order, LogFrom, LimitTo, Report, Finished)
]

PROTOCOL: Final = Protocol(
    [
        *(Borrow, Has, Look, Spare, Count, Render, Rest, Figures, GiveShares, TakeShares, Drain),
        *(AskBulletin, Probe, Judged, Learn),
        *_FOR_OPERATORS,
    ]
)
"""Everything that may cross, either way."""


def worker_name(number: int) -> str:
    """The name of a worker as a process, and as an actor of its host's."""
    return f"worker-{number}"


def identity(process: str, generation: int) -> str:
    """Of one process: those that follow each other under a name are not the same."""
    return f"{process}#{generation}"


def place_of(process: str, generation: int) -> Place:
    """Where a worker finds what is its host's."""
    return Place(
        identity(process, generation),
        f"connections@{HOST}",
        f"metrics@{HOST}",
        f"breakers/{{}}@{HOST}",
    )
