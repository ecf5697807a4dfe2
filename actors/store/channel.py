"""The way to one server: a link while there is one, and the search for a new one while not.

Nobody who asks waits for a connection. Without a link the server is passed by: `submit` fails at
once, and a task of the channel's own probes until a connection works again. With one, it is
probed every `PULSE` seconds: so a server that nobody uses just now is known to be there or not,
and one that is full to have room again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Literal, NoReturn

import msgspec
import trio

from .circuit import Circuit, State
from .counts import Counts
from .dial import WRITE, Dial
from .entry import Entry
from .errors import LinkFailed, StoreRefused, StoreUnavailable
from .link import Link, Redirect
from .replies import FULL

PULSE: Final = 1.0
"""Seconds between probes of a server that is used, and how long each of them is waited for."""


class Change(msgspec.Struct, frozen=True):
    """A server is passed by from now on, takes no writes, or is used again for everything."""

    server: str
    state: Literal["usable", "full", "passed_by"]
    reason: str
    """Why it is not usable, or was not."""


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
        counts: Counts,
        on_change: Callable[[Change], None],
        redirect: Redirect | None = None,
    ) -> None:
        self.server = server
        self.probe = WRITE
        self.circuit = Circuit(chance)
        self.connects = 0
        self._dial = dial
        self._counts = counts
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
        link = Link(stream, self.lost, self._redirect, self.filled)
        self._link = link
        self._usable.set()
        self.connects += 1
        self._counts.connects += 1
        self.found()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._feel_pulse, link)
                await link.run()
                nursery.cancel_scope.cancel()
        finally:
            self._without_link()

    async def _feel_pulse(self, link: Link) -> NoReturn:
        while True:
            await trio.sleep(PULSE)
            pulse = Entry(self.probe, trio.current_time() + PULSE)
            try:
                link.submit(pulse)
            except StoreUnavailable:
                continue  # it has failed, or has so much to do that it is seen to live or not
            try:
                await pulse.wait()
            except StoreUnavailable as problem:
                if not (isinstance(problem, StoreRefused) and problem.code in FULL):
                    link.fail(str(problem))
            else:
                self.found()

    def _without_link(self) -> None:
        self._link = None
        if self._usable.is_set():
            self._usable = trio.Event()

    def found(self) -> None:
        """The server is usable."""
        if self.circuit.recovered(trio.current_time()):
            self._on_change(Change(self.server, "usable", self.circuit.reason))

    def filled(self, reason: str) -> None:
        """The server takes no writes."""
        if self.circuit.filled(reason):
            self._on_change(Change(self.server, "full", reason))

    def lost(self, reason: str) -> None:
        """The server is to be passed by."""
        self._without_link()
        if self.circuit.failed(trio.current_time(), reason):
            self._counts.faults += 1
            self._on_change(Change(self.server, "passed_by", reason))

    def statistics(self) -> ChannelStatistics:
        """A snapshot."""
        circuit = self.circuit
        reason = "" if circuit.state == "usable" else circuit.reason
        return ChannelStatistics(self.server, circuit.state, reason, self.connects)
