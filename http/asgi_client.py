"""The way to a client on any ASGI server: what we stream through when it is not our edge.

It does what ASGI can do, which is less than the edge does: every write goes through the
server's own queue, so a client that stops reading is noticed only if the server waits for it,
and a connection is cut by failing, which is all that ASGI has for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from sluice.actors.failures import ClientLeft, ClientStalled

from .asgi import Event, Headers, Receive, Send


class Cut(Exception):  # noqa: N818 -- what happens to the connection; the reason was told before
    """The answer must not look complete: the server is to close the connection."""


class AsgiClient:
    """One response through ``send``. Made by `asgi_client`."""

    direct = False

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Event | None = None
        self._on_left: Callable[[], None] | None = None
        self._left = False
        self._sending: trio.CancelScope | None = None
        self.aborted = False

    def start(self, status: int, headers: Headers) -> None:
        """Set the head."""
        self._head = {"type": "http.response.start", "status": status, "headers": headers}

    def frame(self, payload: bytes) -> bytes:
        """``payload`` itself: framing is the server's."""
        return payload

    def send_nowait(self, data: bytes) -> int:
        """Nothing can be sent without waiting."""
        del data
        return 0

    async def send(self, data: bytes, timeout: float) -> None:
        """Send ``data``, the head before it. Raises `ClientLeft`, `ClientStalled`."""
        await self._pass_on(data, timeout, more=True)

    async def end(self, data: bytes, timeout: float) -> None:
        """Send ``data`` and the end of the body."""
        await self._pass_on(data, timeout, more=False)

    async def respond(self, status: int, headers: Headers, body: bytes, timeout: float) -> None:
        """A whole response."""
        self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body, timeout)

    async def _pass_on(self, data: bytes, timeout: float, *, more: bool) -> None:
        self._check()
        head, self._head = self._head, None
        with trio.move_on_after(timeout) as scope:
            self._sending = scope
            try:
                if head is not None:
                    await self._send(head)
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
            except OSError:  # what ASGI's specification has a server raise for a closed connection
                raise ClientLeft from None
            finally:
                self._sending = None
        if scope.cancelled_caught:
            self._check()
            raise ClientStalled

    def _check(self) -> None:
        if self._left or self.aborted:
            raise ClientLeft

    def give_up(self) -> None:
        """End a write that waits, and cut the connection."""
        if self._sending is not None:
            self.abort()
            self._sending.cancel()

    def abort(self) -> None:
        """Cut the connection when the route is done."""
        self.aborted = True

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` when the client has left."""
        self._on_left = on_left
        if self._left:
            on_left()

    def unwatch(self) -> None:
        """Forget it."""
        self._on_left = None

    async def listen(self, receive: Receive) -> None:
        """Wait for the client to leave. The request's body has been read."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        if self._on_left is not None:
            self._on_left()


@asynccontextmanager
async def asgi_client(receive: Receive, send: Send) -> AsyncIterator[AsgiClient]:
    """A client for one response. Raises `Cut` at the end if it was aborted."""
    client = AsgiClient(send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.listen, receive)
        yield client
        nursery.cancel_scope.cancel()
    if client.aborted:
        raise Cut
