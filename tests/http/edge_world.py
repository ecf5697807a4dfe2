"""A world for the edge: a server on loopback, its pump, and clients that send raw bytes."""

from __future__ import annotations

import functools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from sluice.actors.metrics.reports import RequestReport
from sluice.actors.streams.pump import EpollPoller, Pump
from sluice.http.asgi import Asgi, Receive, Scope, Send
from sluice.http.edge_settings import EdgeSettings
from sluice.http.edge_state import EdgeState
from sluice.http.server import bind, serve

PATIENCE = 60.0
"""Seconds after which a test that waits for bytes has failed."""

GET = b"GET / HTTP/1.1\r\nHost: sluice\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: sluice\r\nContent-Length: %d\r\n\r\n%b"


class Answer(msgspec.Struct):
    """One response, its body without its coding."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool
    """Whether the body ended as its framing says."""

    @property
    def code(self) -> str:
        """The word for programs in an error of ours."""
        code: str = msgspec.json.decode(self.body)["error"]["code"]
        return code


class RawClient:
    """A client on a socket, which reads responses and nothing into them."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def request(self, data: bytes = GET, *, head: bool = False) -> Answer:
        await self.send(data)
        return await self.answer(head=head)

    async def answer(self, *, head: bool = False) -> Answer:
        """The next response; ``head``: to a HEAD request."""
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        answer = Answer(status, headers, b"", complete=True)
        if head or status in {100, 204, 304}:
            return answer
        if headers.get("transfer-encoding") == "chunked":
            await self._chunks(answer)
        elif "content-length" in headers:
            await self._exactly(answer, int(headers["content-length"]))
        else:
            answer.body = await self.rest()
        return answer

    async def more(self) -> bytes:
        """Some more bytes; ``b""`` at the end, also when it comes as a reset."""
        with trio.fail_after(PATIENCE):
            try:
                return bytes(await self.stream.receive_some(65536))
            except trio.BrokenResourceError:
                return b""

    async def rest(self) -> bytes:
        """All bytes up to the end of the connection."""
        while data := await self.more():
            self.buffer += data
        rest, self.buffer = self.buffer, b""
        return rest

    async def closed(self) -> bool:
        """Whether the server closes, and says nothing before."""
        return await self.rest() == b""

    async def ends_in_a_reset(self) -> bool:
        """Whether the connection ends, and not properly."""
        with trio.fail_after(PATIENCE):
            try:
                while await self.stream.receive_some(65536):
                    pass
            except trio.BrokenResourceError:
                return True
        return False

    def reset_on_leaving(self) -> None:
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # type: ignore[attr-defined]

    async def leave(self) -> None:
        await self.stream.aclose()

    async def _until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            data = await self.more()
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        found, _, self.buffer = self.buffer.partition(end)
        return found

    async def _exactly(self, answer: Answer, length: int) -> None:
        while len(self.buffer) < length:
            data = await self.more()
            if not data:
                answer.complete = False
                break
            self.buffer += data
        answer.body, self.buffer = self.buffer[:length], self.buffer[length:]

    async def _chunks(self, answer: Answer) -> None:
        try:
            while size := int(await self._until(b"\r\n"), 16):
                part = Answer(0, {}, b"", complete=True)
                await self._exactly(part, size)
                answer.body += part.body
                await self._until(b"\r\n")
            await self._until(b"\r\n")
        except EOFError:
            answer.complete = False


class EdgeWorld:
    """A running server."""

    def __init__(self, state: EdgeState, address: tuple[str, int], nursery: trio.Nursery) -> None:
        self.state = state
        self.address = address
        self.stop = trio.Event()
        self.nursery = nursery
        self.clients: list[RawClient] = []
        self.refused: list[RequestReport] = []

    async def connect(self) -> RawClient:
        client = RawClient(await trio.open_tcp_stream(*self.address))
        self.clients.append(client)
        return client

    async def request(self, data: bytes = GET) -> Answer:
        client = await self.connect()
        answer = await client.request(data)
        await client.leave()
        return answer

    async def until_ended(self) -> None:
        """Wait until the server has ended, and only the pump is left."""
        with trio.fail_after(PATIENCE):
            while len(self.nursery.child_tasks) > 1:
                await trio.testing.wait_all_tasks_blocked(0.001)

    async def until_open(self, count: int) -> None:
        """Wait until so many connections are open."""
        with trio.fail_after(PATIENCE):
            while self.state.statistics().open != count:
                await trio.testing.wait_all_tasks_blocked(0.001)


@asynccontextmanager
async def open_edge(app: Asgi, **settings: Any) -> AsyncIterator[EdgeWorld]:
    """Serve ``app`` on a loopback port of the system's choice."""
    edge_settings = EdgeSettings(**settings)
    refused: list[RequestReport] = []
    state = EdgeState(edge_settings, on_refused=refused.append)
    pump = Pump(EpollPoller, reraise)
    sockets = bind(["127.0.0.1:0"], edge_settings.backlog)
    async with trio.open_nursery() as nursery:
        world = EdgeWorld(state, sockets[0].getsockname(), nursery)
        world.refused = refused
        nursery.start_soon(pump.run)
        run = functools.partial(
            serve,
            app,
            sockets,
            edge_settings,
            pump,
            state=state,
            shutdown_trigger=world.stop.wait,
        )

        await nursery.start(run)
        yield world
        for client in world.clients:
            await client.leave()
        await world.until_open(0)
        nursery.cancel_scope.cancel()


def reraise(fault: BaseException) -> None:
    raise fault


class App:
    """An application that tells what happened to it. Subclasses answer."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.lifespan: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            self.scopes.append(scope)
            await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"hello")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            self.lifespan.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


class Calling(App):
    """An application made of a function."""

    def __init__(self, function: Asgi) -> None:
        super().__init__()
        self.function = function

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.function(scope, receive, send)


async def reply(
    send: Send,
    *parts: bytes,
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """A response, one event a part; several parts end with an empty one."""
    await send({"type": "http.response.start", "status": status, "headers": headers or []})
    for part in parts[: None if len(parts) > 1 else -1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    last = parts[0] if len(parts) == 1 else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def read(receive: Receive) -> bytes | None:
    """The whole body; None if the client left."""
    body: bytes = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += event["body"]
        if not event["more_body"]:
            return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read(receive)
    if body is not None:
        await reply(send, body)
