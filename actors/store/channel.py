"""The way to one server: a link while there is one, and the search for a new one while not.

Nobody who asks waits for a connection. Without a link the server is passed by: `submit` fails at
once, and a task of the channel's own probes until a connection works again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal, NoReturn

import msgspec
import trio

from .ask import Entry
from .circuit import Circuit, State
from .dial import Dial
from .errors import LinkFailed, StoreUnavailable
from .link import Link, Redirect


class Change(msgspec.Struct, frozen=True):
    """A server is passed by from now on, or used again."""

    server: str
    state: Literal["usable", "passed_by"]
    reason: str
    """Why it is passed by, or was."""


class ChannelStatistics(msgspec.Struct, frozen=True):
    """A snapshot of one server's channel."""

    server: str
    state: State
    reason: str
    """Empty while it is usable."""
    connects: int
    """Connections that worked, since the start."""


class Channel:
    """One server's. ``serve`` it in a task."""

    def __init__(
        self,
        server: str,
        dial: Dial,
        *,
        chance: Random,
        on_change: Callable[[Change], None],
        redirect: Redirect | None = None,
    ) -> None:
        self.server = server
        self.circuit = Circuit(chance)
        self.connects = 0
        self._dial = dial
        self._redirect = redirect
        self._on_change = on_change
        self._link: Link | None = None
        self._usable = trio.Event()
        self._nudged = trio.Event()

    def __repr__(self) -> str:
        return f"<Channel to {self.server} {self.circuit.state}>"

    def submit(self, entry: Entry, *, asking: bool = False) -> None:
        """Send ``entry``'s operation. Raises `StoreUnavailable` if the server is passed by."""
        if self._link is None:
            raise StoreUnavailable(self.circuit.reason)
        self._link.submit(entry, asking=asking)

    def nudge(self) -> None:
        """Probe now: somebody knows that the server is there."""
        self._nudged.set()

    async def usable(self) -> None:
        """Return when there is a link."""
        await self._usable.wait()

    async def serve(self) -> NoReturn:
        """Keep up a link, for ever."""
        while True:
            try:
                stream = await self._dial()
            except LinkFailed as problem:
                self.lost(str(problem))
            else:
                await self._use(stream)
            with trio.move_on_after(self.circuit.delay()):
                await self._nudged.wait()
            self._nudged = trio.Event()

    async def _use(self, stream: trio.abc.Stream) -> None:
        link = Link(stream, self.lost, self._redirect)
        self._link = link
        self._usable.set()
        self.connects += 1
        self.found()
        try:
            await link.run()
        finally:
            self._without_link()

    def _without_link(self) -> None:
        self._link = None
        if self._usable.is_set():
            self._usable = trio.Event()

    def found(self) -> None:
        """The server is usable."""
        if self.circuit.recovered(trio.current_time()):
            self._on_change(Change(self.server, "usable", self.circuit.reason))

    def lost(self, reason: str) -> None:
        """The server is to be passed by."""
        self._without_link()
        if self.circuit.failed(trio.current_time(), reason):
            self._on_change(Change(self.server, "passed_by", reason))

    def statistics(self) -> ChannelStatistics:
        """A snapshot."""
        circuit = self.circuit
        reason = "" if circuit.state == "usable" else circuit.reason
        return ChannelStatistics(self.server, circuit.state, reason, self.connects)
