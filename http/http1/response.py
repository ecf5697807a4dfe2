"""One response to one client of ours: `sluice.actors.streams.client.Client` on a wire.

The ASGI side (``exchange.py``) and the relay write through the same object, one or the other.
"""

from __future__ import annotations

from collections.abc import Callable

from sluice.actors.failures import ClientLeft
from sluice.http.asgi import Headers

from .body_reader import BodyReader
from .head import Request
from .response_head import ResponseHead, response_head
from .wire import Wire

_LAST_CHUNK = b"0\r\n\r\n"


class Response:
    """A response: its head leaves with the first bytes of its body, in one write.

    Args:
        may_keep_alive: asked when the head is made; False: the server is shutting down.
    """

    __slots__ = (
        "_body",
        "_declared",
        "_head",
        "_may_keep_alive",
        "_pending",
        "_request",
        "_wire",
        "complete",
        "watched",
    )

    def __init__(
        self,
        wire: Wire,
        request: Request,
        body: BodyReader,
        may_keep_alive: Callable[[], bool],
    ) -> None:
        self._wire = wire
        self._request = request
        self._body = body
        self._may_keep_alive = may_keep_alive
        self._head: ResponseHead | None = None
        self._pending = b""  # the head, until something is sent
        self._declared = 0  # bytes of a declared length that are still owed
        self.complete = False
        self.watched = False

    def __repr__(self) -> str:
        state = "complete" if self.complete else "started" if self.started else "new"
        return f"<Response to {self._request.method} {self._request.path}: {state}>"

    @property
    def direct(self) -> bool:
        """Whether the pump may write to the socket."""
        return self._wire.direct

    @property
    def fd(self) -> int:
        """The socket's descriptor; -1 once closed."""
        return self._wire.fd

    @property
    def left(self) -> bool:
        """Whether the client is known to have left, or was cut off by us."""
        return self._wire.left

    @property
    def started(self) -> bool:
        """Whether there is a head."""
        return self._head is not None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may serve another request after this complete response."""
        return self.complete and self._head is not None and self._head.keep_alive

    def start(self, status: int, headers: Headers, whole: int | None = None) -> None:
        """Make the head. ``whole``: the body's length, where all of it is known."""
        if self._head is not None:
            raise RuntimeError("the response has started")
        request = self._request
        keep_alive = request.keep_alive and self._may_keep_alive() and self._body.keeps_connection()
        head = response_head(request, status, headers, keep_alive=keep_alive, whole=whole)
        self._body.forgo_continue()
        self._head = head
        self._pending = head.data
        self._declared = head.length or 0

    def frame(self, payload: bytes) -> bytes:
        """``payload`` in the response's transfer coding."""
        head = self._head
        if head is None:
            raise RuntimeError("the response has not started")
        if head.bodiless or not payload:
            return b""
        if head.chunked:
            return b"%x\r\n%b\r\n" % (len(payload), payload)
        if head.length is not None:
            self._declared -= len(payload)
            if self._declared < 0:
                raise RuntimeError("the response's body is longer than its content-length")
        return payload

    def send_nowait(self, data: bytes) -> int:
        """Write what the socket takes of ``data``, after the head if that has not left yet."""
        if not self._pending:
            return self._wire.send_nowait(data)
        owed = len(self._pending)
        sent = self._wire.send_nowait(self._pending + data)
        self._pending = self._pending[sent:]
        return max(0, sent - owed)

    async def send(self, data: bytes, timeout: float) -> None:
        """Write all of ``data``, after the head if that has not left yet."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        if data:
            await self._wire.send(data, timeout)

    async def respond(self, status: int, headers: Headers, body: bytes, timeout: float) -> None:
        """Write a whole response."""
        self.start(status, headers, len(body))
        await self.end(self.frame(body), timeout)

    async def end(self, data: bytes, timeout: float) -> None:
        """Write ``data`` and the end of the body."""
        head = self._head
        if head is None or self.complete:
            raise RuntimeError("the response has not started, or has ended")
        if self._declared and not head.bodiless:
            raise RuntimeError("the response's body is shorter than its content-length")
        if head.chunked:
            data += _LAST_CHUNK
        if self._pending:
            data = self._pending + data
            self._pending = b""
        if data:
            await self._wire.send(data, timeout)
        self.complete = True
        self._wire.wake()

    def give_up(self) -> None:
        """End a write that waits, and cut the client."""
        self._wire.give_up()

    def abort(self) -> None:
        """Close the connection: the client sees a cut."""
        self._wire.abort()

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        self._wire.reset()

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` once when the client has left; before returning, if it has."""
        self.watched = True
        self._wire.watch(on_left)

    def unwatch(self) -> None:
        """Forget the callback."""
        self._wire.unwatch()


class Disconnected(ClientLeft, OSError):  # noqa: N818 -- an event, like its base
    """What an ASGI application's ``send`` raises when the client has left (ASGI 2.4)."""
