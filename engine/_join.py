"""The child's side of a process: it finds its link, says that it is ready, and hears of the end."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import trio

from ._errors import LinkLost, NotAChild
from ._frame import Ready
from ._link import Link
from ._links import Links
from ._options import LinkOptions
from ._protocol import Protocol
from ._watchdog import Watchdog

VARIABLE: Final = "ENGINE_LINK"
"""The environment variable that tells a process of its end of the link."""
FLUSH: Final = 1.0
"""Seconds that what was told last has to be written."""


class Place(NamedTuple):
    """What a process is told of its place."""

    descriptor: int
    process: str
    parent: str
    generation: int

    def __str__(self) -> str:
        return ":".join(str(part) for part in self)


class Joined:
    """A process that has its link to its parent."""

    def __init__(self, place: Place, links: Links, link: Link) -> None:
        self.process = place.process
        self.parent = place.parent
        self.generation = place.generation
        """1 for the first process of this name, 2 for the next, …"""
        self.links = links
        """To open the system with; references to the parent's actors are ``name@parent``."""
        self._link = link

    def ready(self) -> None:
        """Say that this process does its work now. Idempotent."""
        self._link.send(Ready())

    async def wait_stop(self) -> float:
        """Return, when the parent asks this process to stop, the seconds that it has."""
        await self._link.stop_asked.wait()
        return self._link.stop_seconds


def read_place(text: str | None) -> Place:
    """What the environment variable says. Raises `NotAChild`."""
    if text is None:
        raise NotAChild(f"{VARIABLE} is not set: this program is started by its parent")
    parts = text.split(":")
    try:
        descriptor, process, parent, generation = parts
        return Place(int(descriptor), process, parent, int(generation))
    except ValueError:
        wanted = "descriptor:process:parent:generation"
        raise NotAChild(f"{VARIABLE} is {text[:200]!r}, not {wanted}") from None


@asynccontextmanager
async def join(
    protocol: Protocol, *, options: LinkOptions | None = None, peers: Iterable[str] = ()
) -> AsyncIterator[Joined]:
    """Be a child: open the link to the parent that the environment tells of, once.

    When the link ends, the block is cancelled, and `LinkLost` says why; if it is the parent who
    closed it, the process ends half a second later, however busy it is. ``peers`` are further
    processes that references may name. What is told last is still sent when the block is left.

    Raises `NotAChild`, and what the block raises.
    """
    place = read_place(os.environ.pop(VARIABLE, None))  # its own children are not the parent's
    links = Links(place.process, protocol, peers=[place.parent, *peers], options=options)
    try:
        end = socket.socket(fileno=place.descriptor)
    except OSError as fault:
        raise NotAChild(f"descriptor {place.descriptor} is no link: {fault}") from fault
    end.set_inheritable(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
    link = Link(links, stream, place.parent)
    failure: BaseException | None = None
    with Watchdog(place.descriptor):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep, link, nursery.cancel_scope)
            try:
                await link.opened.wait()
                links.route(link)
                yield Joined(place, links, link)
                await link.flush(FLUSH)
            except BaseException as raised:  # noqa: ASYNC103, BLE001 -- raised again below
                failure = raised
            reason = link.reason
            was_cut = nursery.cancel_scope.cancel_called  # by `_keep`: not from outside
            nursery.cancel_scope.cancel()
    if reason and (failure is None or (was_cut and _is_cancellation(failure))):
        raise LinkLost(f"the link to {place.parent} has ended: {reason}") from None
    if failure is not None:
        raise failure


def _is_cancellation(failure: BaseException) -> bool:
    """Whether it is nothing else: a block with nurseries in it is left by a group of them."""
    if isinstance(failure, BaseExceptionGroup):
        return failure.split(trio.Cancelled)[1] is None
    return isinstance(failure, trio.Cancelled)


async def _keep(link: Link, body: trio.CancelScope) -> None:
    await link.run()
    body.cancel()
