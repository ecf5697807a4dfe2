"""The live view of ``sluice top``: it looks again and again, draws, and obeys keys and signals."""

from __future__ import annotations

import signal
from collections import deque
from typing import Any, Final

import msgspec
import trio

from .client import Client, Gone, NotReachable, open_client
from .place import Place
from .protocol import (
    Events,
    Happened,
    Look,
    Outcome,
    Pause,
    Refused,
    Restart,
    Resume,
    Status,
    Tree,
)
from .snapshot import Snapshot, since
from .terminal import Terminal
from .top_view import View, frame, order
from .views import outcome_line

RECONNECT: Final = 1.0
"""Seconds between two tries to reach a service that has gone."""
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells count."""
_CODES: Final = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: 0, signal.SIGHUP: 0}
_EVENTS: Final = 64
"""Events that are remembered; a terminal shows fewer."""


async def look(client: Client, before: Snapshot | None = None) -> Snapshot:
    """The service now. What is asked at once costs one wait, should a worker not answer."""
    found: dict[type, Any] = {}

    async def ask(command: Any) -> None:
        found[command] = await client.ask(command)

    try:
        async with trio.open_nursery() as nursery:
            for command in (Status, Tree, Look):
                nursery.start_soon(ask, command)
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return since(before, found[Status], found[Tree], found[Look])


class LiveView:
    """One run of the live view."""

    def __init__(self, place: Place, terminal: Terminal, interval: float) -> None:
        self._place = place
        self._terminal = terminal
        self._interval = interval
        self._view = View()
        self._events: deque[Happened] = deque(maxlen=_EVENTS)
        self._client: Client | None = None
        self._asked: tuple[type, str] | None = None
        """What is done to which actor if the next key is ``y``."""
        self._code = 0

    async def run(self) -> int:
        """Show until a key, a signal or the terminal's end says that it is enough."""
        with trio.open_signal_receiver(*_CODES) as ends:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                nursery.start_soon(self._redraw_on_resize)
                nursery.start_soon(self._end_on_signal, ends, nursery.cancel_scope)
                await self._obey_keys(nursery)
                nursery.cancel_scope.cancel()
        return self._code

    # What is shown.

    async def _watch(self) -> None:
        while True:
            try:
                async with open_client(self._place) as self._client:
                    self._change(message="")
                    await self._follow(self._client)
            except (NotReachable, Gone, Refused) as problem:
                self._change(message=f"{problem} -- trying again")
            finally:
                self._client = None
            await trio.sleep(RECONNECT)

    async def _follow(self, client: Client) -> None:
        await client.ask(Events)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, client)
                before = None
                while True:
                    before = await look(client, before)
                    if not self._view.held:
                        self._change(now=before, events=tuple(self._events))
                    await trio.sleep(self._interval)
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _hear(self, client: Client) -> None:
        async for event in client.events:
            self._events.append(event)

    def _change(self, **fields: object) -> None:
        self._view = msgspec.structs.replace(self._view, **fields)
        self._draw()

    def _draw(self) -> None:
        width, height = self._terminal.size
        self._terminal.show(frame(self._view, width, height))

    async def _redraw_on_resize(self) -> None:
        with trio.open_signal_receiver(signal.SIGWINCH) as signals:
            async for _ in signals:
                self._draw()

    async def _end_on_signal(self, ends: Any, scope: trio.CancelScope) -> None:
        self._code = _CODES[signal.Signals(await anext(ends))]
        scope.cancel()

    # What is obeyed.

    async def _obey_keys(self, nursery: trio.Nursery) -> None:
        """Return when it is enough."""
        while keys := await self._terminal.keys():
            for key in keys:
                if key == "q":
                    return
                self._obey(key, nursery)

    def _obey(self, key: str, nursery: trio.Nursery) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            self._change(message="")
            if key == "y":
                nursery.start_soon(self._command, *asked)
        elif key == " ":
            self._change(held=not self._view.held)
        elif key == "o":
            self._change(as_tree=not self._view.as_tree)
        elif key in {"up", "k", "down", "j"}:
            self._select(-1 if key in {"up", "k"} else 1)
        elif key == "r":
            self._ask(Restart, "restart")
        elif key == "p":
            paused = self._selected_state() == "paused"
            self._ask(Resume if paused else Pause, "resume" if paused else "pause")

    def _select(self, step: int) -> None:
        paths = [node.path for node in order(self._view)]
        if paths:
            selected = self._view.selected
            here = paths.index(selected) if selected in paths else -(step > 0)
            self._change(selected=paths[(here + step) % len(paths)], message="")

    def _selected_state(self) -> str:
        selected = self._view.selected
        return next((each.state for each in order(self._view) if each.path == selected), "")

    def _ask(self, command: type, name: str) -> None:
        path = self._view.selected
        if not path:
            self._change(message=f"up and down select what to {name}")
            return
        self._asked = (command, path)
        self._change(message=f"{name} {path}? y: yes, any other key: no")

    async def _command(self, command: Any, path: str) -> None:
        client = self._client
        if client is None:
            self._change(message=f"{path}: there is no connection to the service now")
            return
        self._change(message=f"{path}: under way ...")
        try:
            done: Outcome = await client.ask(command, path=path)
        except (Refused, Gone) as problem:
            self._change(message=str(problem))
        else:
            self._change(message=outcome_line(done))


def _first(group: BaseException) -> BaseException:
    """The first exception in nested groups: of a lost connection, all asks tell the same."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
