"""The `edge` actor: the server, as long as one incarnation of it lives.

The listening sockets are the process's; an incarnation serves duplicates of them. So while it is
replaced, clients wait in the backlog, and none is refused. Stopping it drains: it accepts no
more, idle connections close, and responses that have begun may end (see `EdgeSettings.drain`).
If others serve on in its place, an idle connection is not closed under a request that may be on
its way: it has one more, which is answered with ``Connection: close``, or its time-out.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Sequence

import msgspec
import trio

from sluice.actors.metrics.reports import RequestReport
from sluice.actors.streams.pump import Watcher
from sluice.engine import Actor, Context

from .asgi import Asgi
from .edge_settings import EdgeSettings
from .edge_state import EdgeCounts, EdgeState, EdgeStatistics
from .server import serve
from .spread import Spread

LAST_CALL = 3.0
"""Seconds between the last call and the cut."""


class Edge(Actor):
    """Serves an application; started once it accepts.

    Its shutdown (`ChildSpec.shutdown`) must be longer than ``settings.drain`` and `LAST_CALL`.

    Args:
        make_app: makes the ASGI application, of this incarnation's context.
        listening: sockets of the process, listening; not closed.
        settings: how clients are treated.
        watcher: the worker's pump.
        counts: where to count: handed to each incarnation, so that counts never go back.
        on_refused: told of each request that the edge itself refuses, once; must not block.
        last_call: called when ``settings.drain`` has passed and responses are still under way:
            what they have to say, they must say within `LAST_CALL` seconds. Then they are cut.
        patient: asked when it stops: whether idle connections may have one more request, because
            others serve on in this one's place.
        spread: what it shares with other workers that accept at the same sockets.
        takes: whether the application takes work now; while not, new connections are left to them.
    """

    def __init__(  # noqa: PLR0913 -- what the edge needs of its worker
        self,
        make_app: Callable[[Context], Asgi],
        listening: Sequence[socket.socket],
        settings: EdgeSettings,
        watcher: Watcher,
        *,
        counts: EdgeCounts | None = None,
        on_refused: Callable[[RequestReport], None] | None = None,
        last_call: Callable[[], None] | None = None,
        patient: Callable[[], bool] = bool,
        spread: Spread | None = None,
        takes: Callable[[], bool] = lambda: True,
    ) -> None:
        self._last_call = last_call
        self._make_app = make_app
        self._listening = listening
        self._settings = settings
        self._watcher = watcher
        self._state = EdgeState(settings, counts, on_refused, patient, spread, takes)
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
        with trio.move_on_after(self._settings.drain):
            await self._ended.wait()
        if self._last_call is not None and not self._ended.is_set():
            self._last_call()
        await self._ended.wait()

    def statistics(self) -> EdgeStatistics:
        """Connections and requests."""
        return self._state.statistics()

    async def _serve(self) -> None:
        app = self._make_app(self.context)
        run = functools.partial(
            serve,
            app,
            [sock.dup() for sock in self._listening],
            msgspec.structs.replace(self._settings, drain=self._settings.drain + LAST_CALL),
            self._watcher,
            state=self._state,
            shutdown_trigger=self._stopping.wait,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            self._accepting.set()
        self._ended.set()
