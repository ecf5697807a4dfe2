"""The control server: who is let in, and how many at a time.

Let in is who opens ``/control`` with our subprotocol, and over TCP with the token; never a web
page (it sends ``Origin``). Whatever a client does, the others and the service go on.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)

from .controlled import Controlled
from .place import Place, listening
from .protocol import COMMAND_LIMIT, PATH, SUBPROTOCOL
from .session import ENDED, ENDED_SAYS, Budget, Session

CLIENTS: Final = 16
"""Operators at a time."""
CONNECTIONS: Final = 64
"""Connections at a time, those included that have not said who they are."""
COMMANDS: Final = 64
"""Commands under way at a time, of all clients."""
HANDSHAKE_TIMEOUT: Final = 5.0
CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a client has to take its good-bye."""


class ControlServer:
    """Serves operators of what ``controlled()`` says; while that is None, it is starting."""

    def __init__(
        self,
        place: Place,
        controlled: Callable[[], Controlled | None],
        nursery: trio.Nursery,
    ) -> None:
        self.place = place
        self._controlled = controlled
        self._nursery = nursery
        self._budget = Budget(COMMANDS)
        self._sessions: set[Session] = set()
        self._connections = 0
        self._left = trio.Event()
        self._log = structlog.get_logger(source="sluice.control")

    async def serve(self, sock: socket.socket) -> None:
        """Accept until cancelled. The socket listens already: nobody is refused before that."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        await trio.serve_listeners(self._connected, [listener], handler_nursery=self._nursery)

    async def say_goodbye(self) -> None:
        """Tell every client that the service has ended; wait a bounded time for them."""
        for session in self._sessions:
            session.end(ENDED, ENDED_SAYS)
        with trio.move_on_after(CLOSE_TIMEOUT):
            while self._sessions:
                self._left = trio.Event()
                await self._left.wait()

    async def _connected(self, stream: trio.SocketStream) -> None:
        if self._connections >= CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        try:
            await self._serve_client(stream)
        except* Exception as problems:  # noqa: BLE001 -- a stranger's bytes, in a library: nobody else's concern
            self._log.info("control connection ended", problem=repr(problems.exceptions[0]))
        finally:
            self._connections -= 1
            with trio.CancelScope(shield=True):  # forceful: it does not wait
                await trio.aclose_forcefully(stream)

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            connection = None
            with trio.move_on_after(HANDSHAKE_TIMEOUT):
                request = await wrap_server_stream(nursery, stream, max_message_size=COMMAND_LIMIT)
                connection = await self._let_in(request)
            if connection is not None:
                await self._session(connection)
            nursery.cancel_scope.cancel()

    async def _let_in(self, request: WebSocketRequest) -> WebSocketConnection | None:
        refusal = refused(request, self.place.token)
        if refusal is None and len(self._sessions) >= CLIENTS:
            refusal = (503, f"{CLIENTS} operators are connected already; one has to leave first")
        if refusal is None:
            return await request.accept(subprotocol=SUBPROTOCOL)
        await request.reject(refusal[0], body=f"{refusal[1]}\n".encode())
        return None

    async def _session(self, connection: WebSocketConnection) -> None:
        session = Session(connection, self._controlled, self._nursery.start_soon, self._budget)
        self._sessions.add(session)
        try:
            await session.run()
            with trio.move_on_after(CLOSE_TIMEOUT):
                await connection.aclose(*session.farewell)
        except ConnectionClosed:
            pass
        finally:
            self._sessions.discard(session)
            self._left.set()


def refused(request: WebSocketRequest, token: str | None) -> tuple[int, str] | None:
    """Why this client is not let in (an HTTP status and words); None if it is."""
    headers = {name.lower(): value for name, value in request.headers}
    if b"origin" in headers:
        return 403, "web pages may not control the service"
    if request.path != PATH:
        return 404, f"operators are served at {PATH}"
    if token is not None:
        given = headers.get(b"authorization", b"")
        if not secrets.compare_digest(given, b"Bearer " + token.encode()):
            return 401, "this needs the token of [control] token"
    if SUBPROTOCOL not in request.proposed_subprotocols:
        return 400, f"this service speaks {SUBPROTOCOL}; is your `sluice` of its version?"
    return None


@asynccontextmanager
async def open_control(
    place: Place, controlled: Callable[[], Controlled | None]
) -> AsyncIterator[ControlServer]:
    """Serve operators at ``place`` within the block. Raises `place.CannotListen`.

    At the block's end every client is told that the service has ended.
    """
    with listening(place) as sock:
        async with trio.open_nursery() as nursery:
            server = ControlServer(place, controlled, nursery)
            nursery.start_soon(server.serve, sock)  # noqa: ASYNC113 -- it listens already
            yield server
            await server.say_goodbye()
            nursery.cancel_scope.cancel()
