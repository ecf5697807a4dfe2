"""The `edge` actor: the server, as long as one incarnation of it lives.

The listening sockets are the process's; an incarnation serves duplicates of them. So while it is
replaced, clients wait in the backlog, and none is refused. Stopping it drains: it accepts no
more, idle connections close, and responses that have begun may end (see `EdgeSettings.drain`).
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Sequence

import trio

from sluice.actors.pump import Watcher
from sluice.engine import Actor

from .asgi import Asgi
from .edge_settings import EdgeSettings
from .edge_state import EdgeCounts, EdgeState, EdgeStatistics
from .refusals import Refused
from .server import serve


class Edge(Actor):
    """Serves ``app``; started once it accepts.

    Its shutdown (`ChildSpec.shutdown`) must be longer than ``settings.drain``.

    Args:
        app: the ASGI application.
        listening: sockets of the process, listening; not closed.
        settings: how clients are treated.
        watcher: the worker's pump.
        counts: where to count: handed to each incarnation, so that counts never go back.
        on_refused: told of each request that the edge itself refuses; must not block.
    """

    def __init__(
        self,
        app: Asgi,
        listening: Sequence[socket.socket],
        settings: EdgeSettings,
        watcher: Watcher,
        *,
        counts: EdgeCounts | None = None,
        on_refused: Callable[[Refused], None] | None = None,
    ) -> None:
        self._app = app
        self._listening = listening
        self._settings = settings
        self._watcher = watcher
        self._state = EdgeState(settings, counts, on_refused)
        self._accepting = trio.Event()
        self._stopping = trio.Event()
        self._ended = trio.Event()

    async def on_start(self) -> None:
        """Returns once connections are accepted."""
        self.context.spawn(self._serve)
        await self._accepting.wait()

    async def on_stop(self) -> None:
        """Drain: returns when the last response has ended or was cut."""
        self._stopping.set()
        await self._ended.wait()

    def statistics(self) -> EdgeStatistics:
        """Connections and requests."""
        return self._state.statistics()

    async def _serve(self) -> None:
        run = functools.partial(
            serve,
            self._app,
            [sock.dup() for sock in self._listening],
            self._settings,
            self._watcher,
            state=self._state,
            shutdown_trigger=self._stopping.wait,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            self._accepting.set()
        self._ended.set()
