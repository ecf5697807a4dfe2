"""The server: Hypercorn's, with our HTTP/1.1 in it.

`serve` is all there is to it. Hypercorn does sockets, TLS, lifespan and shutdown; what it does
with one accepted connection is replaced, or with ``http1 = "hypercorn"`` done within our limit of
connections. It has no hook for that, so `_worker_serve` is a copy of its function that sees our
name in place of its ``TCPServer``, and of trio's listener where several workers accept: nothing
global is changed.
The version is pinned, and checked, because of it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import socket
import types
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import hypercorn.trio.run
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.utils import parse_socket_addr

from sluice.actors.failures import ClientLeft
from sluice.actors.streams.pump import Watcher

from .asgi import Asgi, Scope
from .edge_settings import EdgeSettings
from .edge_state import EdgeState
from .foreign import ForeignConnection
from .http1.connection import Connection
from .http1.refusals import too_many_connections
from .http1.response_head import refusal
from .http1.tls_wire import TLSWire
from .http1.wire import SocketWire
from .listener import SharedListener
from .spread import BEAT, Spread

HYPERCORN = "0.18.0"
"""The version whose `worker_serve` is known to take another ``TCPServer``."""

REAP_SHARE = 8
"""Idle connections are looked at this often per ``keepalive_timeout``, at least every second."""

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


def bind(addresses: Sequence[str], backlog: int) -> list[socket.socket]:
    """Listening sockets for ``host:port``, ``unix:path`` or ``fd://N``. Raises `OSError`."""
    config = Config()
    config.bind = list(addresses)
    sockets = config.create_sockets().insecure_sockets
    for sock in sockets:
        sock.listen(backlog)
    return sockets


async def serve(
    app: Asgi,
    sockets: Sequence[socket.socket],
    settings: EdgeSettings,
    watcher: Watcher,
    *,
    state: EdgeState | None = None,
    shutdown_trigger: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` on ``sockets`` (listening, non-blocking; closed with the server).

    Started with the addresses it serves at. Returns when ``shutdown_trigger`` did and every
    response has ended, or was cut after ``settings.drain`` seconds. The application's
    ``lifespan`` is run around it.

    ``state`` is what the connections share; a caller that wants to look at it, or count beyond
    this server, makes it.
    """
    state = state or EdgeState(settings)
    try:
        run = _hypercorn(app, sockets, settings, watcher, state, shutdown_trigger)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_reap, state)
            async with trio.open_nursery() as serving:
                addresses = await serving.start(run)
                state.listens()  # not before: others would leave connections to who takes none
                nursery.start_soon(_beat, state)
                task_status.started(addresses)
            nursery.cancel_scope.cancel()
    finally:
        if state.spread is not None:
            state.spread.close()
        for sock in sockets:
            sock.close()


def _hypercorn(
    app: Asgi,
    sockets: Sequence[socket.socket],
    settings: EdgeSettings,
    watcher: Watcher,
    state: EdgeState,
    shutdown_trigger: Callable[[], Awaitable[None]] | None,
) -> Callable[..., Awaitable[None]]:
    """Hypercorn's server, ready to be started."""
    listening = list(sockets)
    return functools.partial(
        _worker_serve(_Edge(app, state, watcher), state.spread),
        ASGIWrapper(cast("Any", app)),
        _configuration(settings),
        sockets=Sockets(listening, [], []) if settings.tls else Sockets([], listening, []),
        shutdown_trigger=functools.partial(_drain_when, shutdown_trigger, state),
    )


class _Edge:
    """Called by Hypercorn with each accepted connection, in place of its ``TCPServer``."""

    def __init__(self, app: Asgi, state: EdgeState, watcher: Watcher) -> None:
        self._app = app
        self._state = state
        self._watcher = watcher

    async def __call__(
        self,
        app: Any,
        config: Config,
        context: Any,
        asgi_state: dict[str, Any],
        stream: Stream,
    ) -> None:
        self._state.counts.accepted += 1
        if not self._state.has_room():
            self._turn_away(stream)
            return
        self._state.opened()
        try:
            if self._state.settings.http1 == "hypercorn":
                foreign = ForeignConnection(app, config, context, asgi_state, stream)
                await self._contain(self._serve_foreign, foreign)
                await trio.aclose_forcefully(stream)
            elif isinstance(stream, trio.SSLStream):
                await self._contain(self._serve_tls, stream, asgi_state)
            else:
                await self._contain(self._serve_plain, stream, asgi_state)
        finally:
            self._state.closed()

    async def _contain(self, serve: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Serve one connection. Its fault is its own: raised here, it would end all others."""
        try:
            await serve(*args)
        except Exception as fault:  # noqa: BLE001 -- whatever it is
            self._state.note_fault(fault)
        except BaseExceptionGroup as group:
            faults, ending = group.split(Exception)
            if faults is not None:
                self._state.note_fault(faults)
            if ending is not None:
                raise ending from None

    async def _serve_foreign(self, connection: ForeignConnection) -> None:
        self._state.connections.add(connection)
        try:
            await connection.run()
        finally:
            self._state.connections.discard(connection)

    async def _serve_plain(self, stream: trio.SocketStream, asgi_state: dict[str, Any]) -> None:
        base = _base_scope(stream.socket, "http")
        wire = self._wire(stream)
        try:
            if base is not None:
                await Connection(self._app, self._state, wire, base, asgi_state).run()
        finally:
            wire.abort()

    async def _serve_tls(
        self, stream: trio.SSLStream[trio.SocketStream], asgi_state: dict[str, Any]
    ) -> None:
        base = _base_scope(stream.transport_stream.socket, "https")
        if base is None:
            return
        try:
            with trio.fail_after(self._state.settings.handshake_timeout):
                await stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError):
            return
        wire = TLSWire(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.read_ahead)
            await Connection(self._app, self._state, wire, base, asgi_state).run()
            nursery.cancel_scope.cancel()

    def _wire(self, stream: trio.SocketStream) -> SocketWire:
        """Its socket, taken out of trio's, whose methods all pass the scheduler."""
        return SocketWire(socket.socket(fileno=stream.socket.detach()), self._watcher)

    def _turn_away(self, stream: Stream) -> None:
        """Say 503 and close, without waiting for anything: there is no room to wait in.

        On TLS nothing can be said without waiting; who called us closes.
        """
        self._state.turned_away()
        refused = too_many_connections()
        if isinstance(stream, trio.SSLStream):
            self._state.note_let_go(refused)
            return
        self._state.note_refusal(refused)
        wire = self._wire(stream)
        wire.look()  # unread bytes would make the close a reset
        with suppress(ClientLeft):  # after what it had sent: raised here, it would end the server
            wire.send_nowait(refusal(refused))
        wire.abort()


def _base_scope(sock: trio.socket.SocketType, scheme: str) -> Scope | None:
    """What all scopes of a connection share; None if its client has already gone."""
    try:
        return {
            "scheme": scheme,
            "client": parse_socket_addr(sock.family, sock.getpeername()),
            "server": parse_socket_addr(sock.family, sock.getsockname()),
        }
    except OSError:
        return None


def _worker_serve(edge: _Edge, spread: Spread | None) -> Callable[..., Awaitable[None]]:
    """A copy of Hypercorn's `worker_serve` that hands connections to ``edge``.

    With a ``spread``, its listeners are such as leave connections to other workers.
    """
    original = hypercorn.trio.run.worker_serve
    version = importlib.metadata.version("hypercorn")
    if version != HYPERCORN or "TCPServer" not in original.__code__.co_names:
        raise RuntimeError(f"our edge fits Hypercorn {HYPERCORN}, and {version} is installed")
    names = {**original.__globals__, "TCPServer": edge}
    if spread is not None:
        listener = functools.partial(SharedListener, spread=spread)
        names["trio"] = types.SimpleNamespace(**{**vars(trio), "SocketListener": listener})
    copy = types.FunctionType(original.__code__, names, original.__name__)
    copy.__kwdefaults__ = original.__kwdefaults__
    return copy


def _configuration(settings: EdgeSettings) -> Config:
    """Hypercorn's configuration. Where it has a limit of ours, for its own protocol too."""
    config = Config()
    config.errorlog = logging.getLogger("sluice.edge")  # a name would make it write to stderr
    config.accesslog = None
    config.include_server_header = False
    config.alpn_protocols = ["http/1.1"]
    config.graceful_timeout = settings.drain
    config.backlog = settings.backlog
    config.keep_alive_timeout = settings.keepalive_timeout
    config.h11_max_incomplete_size = settings.head_limit
    config.ssl_handshake_timeout = settings.handshake_timeout
    config.certfile = settings.certfile
    config.keyfile = settings.keyfile
    return config


async def _beat(state: EdgeState) -> None:
    """Give signs of life to the other workers, if there are any."""
    while state.spread is not None:
        await trio.sleep(BEAT)
        state.tell()


async def _reap(state: EdgeState) -> None:
    interval = min(1.0, state.settings.keepalive_timeout / REAP_SHARE)
    while True:
        await trio.sleep(interval)
        state.reap(trio.current_time())


async def _drain_when(
    shutdown_trigger: Callable[[], Awaitable[None]] | None, state: EdgeState
) -> None:
    if shutdown_trigger is None:
        await trio.sleep_forever()
    else:
        await shutdown_trigger()
    state.drain()
