"""Reads one request's body from the wire, when the application asks for it."""

from __future__ import annotations

import trio

from sluice.actors.failures import ClientLeft
from sluice.http.edge_settings import BODY_RATE, DRAIN_LIMIT, EdgeSettings

from .bodies import Bodies
from .body import Body, ChunkedBody, SizedBody
from .head import Request
from .refusals import Refused, too_slow
from .wire import Wire

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyReader:
    """One body. ``complete`` once all of it was read."""

    __slots__ = (
        "_bodies",
        "_body",
        "_budget",
        "_hurried",
        "_owes_continue",
        "_settings",
        "_waited",
        "_waits",
        "_waits_since",
        "_wire",
    )

    def __init__(
        self, wire: Wire, request: Request, settings: EdgeSettings, bodies: Bodies
    ) -> None:
        self._wire = wire
        self._settings = settings
        self._bodies = bodies
        self._owes_continue = request.expects_continue
        self._budget = settings.body_timeout
        self._waited = 0.0
        self._waits: trio.CancelScope | None = None
        self._waits_since = 0.0
        self._hurried = False
        length = request.length
        self._body: Body = ChunkedBody(settings.body_limit) if length is None else SizedBody(length)

    @property
    def complete(self) -> bool:
        """Whether all of the body was read."""
        return self._body.complete

    async def read(self) -> bytes:
        """The next piece; ``b""`` only with the end of the body.

        Raises `Refused` for what is malformed, too large or too slow, and `ClientLeft`.
        """
        while not self._body.complete:
            try:
                payload = await self._read_some()
            except Refused as refused:
                refused.after = self._waited
                raise
            if payload:
                if not self._body.complete:
                    self._bodies.hold(self, len(payload))
                return payload
        return b""

    def waited(self, now: float) -> float:
        """Seconds for which the client has let us wait."""
        return self._waited + (0.0 if self._waits is None else now - self._waits_since)

    def hurry(self) -> None:
        """No more of it is waited for."""
        self._hurried = True
        if self._waits is not None:
            self._waits.cancel()

    def close(self) -> None:
        """Nobody reads it any more, but for nobody."""
        self._bodies.drop(self)

    def keeps_connection(self) -> bool:
        """Whether the connection can serve another request if the rest of this body is not read.

        The rest must be known and short, and the client must not be waiting for a word of ours.
        """
        body = self._body
        if body.complete:
            return True
        short = isinstance(body, SizedBody) and body.remaining <= DRAIN_LIMIT
        return short and not self._owes_continue

    def forgo_continue(self) -> None:
        """The response has started: ``100 Continue`` would be taken for a part of it."""
        self._owes_continue = False

    async def drain(self) -> None:
        """Read the rest for nobody. Raises as `read` does."""
        while not self._body.complete:
            await self._read_some()

    async def _read_some(self) -> bytes:
        data = self._wire.take()
        if not data:
            await self._say_continue()
            data = await self._receive()
        self._owes_continue = False  # it did not wait for us
        payload, rest = self._body.feed(data)
        if rest:
            self._wire.push(rest)
        if self._body.complete:
            self._bodies.drop(self)
        return payload

    async def _say_continue(self) -> None:
        if self._owes_continue:
            self._owes_continue = False
            await self._wire.send(_CONTINUE, self._settings.client_write)

    async def _receive(self) -> bytes:
        """Bytes from the client, who pays for the wait with time that bytes bring back.

        Never more than it had at first: what came quickly is no reason to wait long for the rest.
        """
        if self._hurried:
            raise too_slow("body")
        began = self._waits_since = trio.current_time()
        with trio.move_on_after(self._budget) as self._waits:
            data = await self._wire.receive()
        late, self._waits = self._waits.cancelled_caught, None
        waited = trio.current_time() - began
        self._waited += waited
        if late:
            raise too_slow("body")
        if not data:
            raise ClientLeft
        budget = self._budget + len(data) / BODY_RATE - waited
        self._budget = min(max(0.0, budget), self._settings.body_timeout)
        return data
