"""The operators' end of the control WebSocket: `open_client`, then `Client.ask`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from .place import Place, connect
from .protocol import (
    PATH,
    REPLY_LIMIT,
    SUBPROTOCOL,
    Command,
    Done,
    Error,
    Happened,
    Refused,
    frame,
    read_frame,
)

CONNECT_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 2.0
_EVENTS: Final = 1024
"""Events that wait for whoever shows them."""


class NotReachable(Exception):  # noqa: N818 -- a state, named as such
    """No service answers there, or it does not let us in; the text says which, and what to do."""


class Gone(Exception):  # noqa: N818 -- likewise
    """The connection has ended. ``reason`` is what the service said; empty if it said nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason or "the connection to the service was lost")
        self.reason = reason


class Client:
    """An open connection."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, trio.MemorySendChannel[Done | Error]] = {}
        self._happened, self.events = trio.open_memory_channel[Happened](_EVENTS)
        self._reason = ""

    async def ask(self, command: type[Command], **fields: Any) -> Any:
        """The result of a command, as its type says. Raises `Refused`, or `Gone`."""
        number = next(self._ids)
        answered, answer = trio.open_memory_channel[Done | Error](1)
        self._waiting[number] = answered
        try:
            await self._socket.send_message(frame(command(number, **fields)))
            reply = await answer.receive()
        except (ConnectionClosed, trio.EndOfChannel):
            raise Gone(self._reason) from None
        finally:
            self._waiting.pop(number, None)
            answer.close()
        if isinstance(reply, Error):
            raise Refused(reply.code, reply.message)
        return msgspec.convert(reply.result, command.answer)

    async def wait_gone(self) -> str:
        """Return what the service said when it closed the connection; events are dropped."""
        async for _ in self.events:
            pass
        return self._reason

    async def read(self) -> None:
        """Hand out what comes, until the connection ends."""
        try:
            while True:
                await self._take(read_frame(await self._socket.get_message()))
        except ConnectionClosed as closed:
            self._reason = (closed.reason and closed.reason.reason) or ""
        finally:
            self._happened.close()
            for answered in self._waiting.values():
                answered.close()

    async def _take(self, received: Any) -> None:
        if isinstance(received, Done | Error):
            waiting = self._waiting.get(received.id)
            if waiting is not None:
                waiting.send_nowait(received)
        else:
            await self._happened.send(received.event)


@asynccontextmanager
async def open_client(place: Place) -> AsyncIterator[Client]:
    """A connection to the service at ``place``. Raises `NotReachable`; else what the block does."""
    try:
        async with _connected(place) as stream, trio.open_nursery() as nursery:
            with trio.fail_after(CONNECT_TIMEOUT):
                socket = await _shake_hands(nursery, stream, place)
            client = Client(socket)
            nursery.start_soon(client.read)
            yield client
            with trio.move_on_after(CLOSE_TIMEOUT):
                await socket.aclose()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        alone = _alone(group)
        if isinstance(alone, ConnectionRejected):
            said = (alone.body or b"").decode(errors="replace").strip()
            raise NotReachable(f"refused at {place.address}: {said}") from None
        if isinstance(alone, HandshakeError | trio.TooSlowError):
            raise NotReachable(f"what listens at {place.address} is no control server") from None
        raise alone from None


@asynccontextmanager
async def _connected(place: Place) -> AsyncIterator[trio.SocketStream]:
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            stream = await connect(place)
    except (OSError, trio.TooSlowError) as problem:
        reason = _why(problem)
        raise NotReachable(
            f"no service answers at {place.address} ({reason}). Does it run? --config or --control"
            " says which one you mean"
        ) from None
    try:
        yield stream
    finally:
        with trio.CancelScope(shield=True):  # forceful: it does not wait
            await trio.aclose_forcefully(stream)


def _why(problem: BaseException) -> str:
    """In the system's words: of several addresses that were tried, the last one's."""
    while isinstance(problem.__cause__, OSError | BaseExceptionGroup):
        problem = problem.__cause__
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[-1]
    return getattr(problem, "strerror", None) or str(problem) or "no answer"


async def _shake_hands(
    nursery: trio.Nursery, stream: trio.SocketStream, place: Place
) -> WebSocketConnection:
    headers = []
    if place.token is not None:
        headers.append((b"Authorization", b"Bearer " + place.token.encode()))
    return await wrap_client_stream(
        nursery,
        stream,
        "sluice",
        PATH,
        subprotocols=[SUBPROTOCOL],
        extra_headers=headers,
        max_message_size=REPLY_LIMIT,
    )


def _alone(raised: BaseException) -> BaseException:
    """The only exception in nested groups of one; otherwise ``raised`` itself."""
    while isinstance(raised, BaseExceptionGroup) and len(raised.exceptions) == 1:
        raised = raised.exceptions[0]
    return raised
