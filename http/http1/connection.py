"""One client's connection: HTTP/1.1 on httptools, in one task and without a nursery.

The task reads a request, awaits the application, and goes on. Hypercorn's own protocol (h11)
costs 0.76 ms a request and 43 µs a chunk; this one about a twentieth. What makes the
difference: llhttp; no reader task and no channel; the socket is tried at once and waited for
only when it is full; the head leaves with the first chunk; no timer is set for an idle wait
(`reap` looks at all connections once in a while instead).

Who notices that a client leaves while it is answered: whoever watches through the client
object, waits in ``receive`` after the body, or sends. An application that does none of these
is cancelled by `reap` some time after. It is never ended by a timer alone.
"""

from __future__ import annotations

import math
from typing import Any

import trio

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.http.asgi import Asgi, Scope
from sluice.http.edge_settings import FIRST_REQUEST, LINGER_TIME
from sluice.http.edge_state import EdgeState
from sluice.http.leaving import without_leaving

from .exchange import Exchange
from .head import HeadReader, Request
from .refusals import Refused, application_failed, too_slow
from .response_head import refusal
from .wire import Wire


class Connection:
    """One connection, from accepting to closing. `run` is its life."""

    __slots__ = (
        "_app",
        "_asgi_state",
        "_base",
        "_edge",
        "_exchange",
        "_patience",
        "_scope",
        "_served",
        "_wire",
    )

    def __init__(
        self, app: Asgi, edge: EdgeState, wire: Wire, base: Scope, asgi_state: dict[str, Any]
    ) -> None:
        self._app = app
        self._edge = edge
        self._wire = wire
        self._base = base
        self._asgi_state = asgi_state
        self._scope = trio.CancelScope()
        self._exchange: Exchange | None = None
        self._served = False
        self._patience = math.inf  # until when an idle connection is kept

    def __repr__(self) -> str:
        doing = "idle" if self._exchange is None else repr(self._exchange.response)
        return f"<Connection from {self._base['client']}: {doing}>"

    async def run(self) -> None:
        """Serve requests until either side has had enough."""
        self._edge.connections.add(self)
        try:
            with self._scope:
                while await self._serve_one():
                    pass
        finally:
            self._edge.connections.discard(self)
            self._wire.abort()

    def reap(self, now: float) -> None:
        """End what nobody waits for: an idle connection, or an application without a client."""
        exchange = self._exchange
        if exchange is None:
            if now >= self._patience and not self._wire.has_bytes():
                self._scope.cancel()
        elif not (exchange.receiving or exchange.response.watched) and self._wire.look():
            self._scope.cancel()

    def close_idle(self) -> None:
        """Close, unless a request is there or may be on its way; its response will be the last."""
        if self._patience == math.inf or self._wire.has_bytes():
            return
        if self._served:
            self._scope.cancel()
        else:
            self._patience = self._idle_until()

    async def _serve_one(self) -> bool:
        """Serve one request; whether there may be another."""
        try:
            request = await self._read_head()
        except Refused as refused:
            await self._turn_away(refused)
            return False
        if request is None:
            return False
        self._served = True
        self._edge.counts.requests += 1
        return await self._answer(request)

    async def _read_head(self) -> Request | None:
        """The next request; None if the client leaves, or we do, before there is one."""
        head = HeadReader(self._edge.settings)
        data = self._wire.take()
        if data:
            await trio.lowlevel.checkpoint()  # pipelined: others have a turn in between
        else:
            self._patience = self._idle_until()
            data = await (self._rest() if self._served else self._wire.receive())
            self._patience = math.inf
        found = head.feed(data) if data else None
        if found is None and data:
            found = await self._read_rest(head)
        if found is None:
            return None
        request, rest = found
        if rest:
            self._wire.push(rest)
        return request

    async def _rest(self) -> bytes:
        """Wait for another request."""
        self._edge.rests()
        try:
            return await self._wire.receive()
        finally:
            self._edge.goes_on()

    def _idle_until(self) -> float:
        settings, draining = self._edge.settings, self._edge.draining
        return trio.current_time() + (FIRST_REQUEST if draining else settings.keepalive_timeout)

    async def _read_rest(self, head: HeadReader) -> tuple[Request, bytes] | None:
        """The rest of a head that did not come at once."""
        began = trio.current_time()
        try:
            with trio.move_on_after(self._edge.settings.head_timeout):
                while data := await self._wire.receive():
                    found = head.feed(data)
                    if found is not None:
                        return found
                return None
            raise too_slow("head")
        except Refused as refused:
            refused.after = trio.current_time() - began
            raise

    async def _answer(self, request: Request) -> bool:
        """Have the application answer; whether the connection can be used again."""
        edge = self._edge
        exchange = Exchange(self._wire, request, edge.settings, edge.bodies, edge.keeps_alive)
        self._exchange = exchange
        try:
            scope = exchange.scope(self._base, self._asgi_state)
            crash = await self._call(scope, exchange)
        except BaseException:
            if exchange.refused is not None:  # and we end before the refusal has left
                self._edge.note_refusal(exchange.refused, scope)
            raise
        finally:
            exchange.close()
            self._exchange = None
        if crash is not None:
            self._edge.note_crash(crash, scope)
        if exchange.response.complete:
            return await self._after(exchange)
        if exchange.refused is not None:
            self._edge.note_refusal(exchange.refused, scope)
            await self._linger()
        elif not exchange.response.started and not self._wire.left:
            if crash is None:
                self._edge.note_crash(None, scope)
            await self._turn_away(application_failed(), scope)
        return False  # a response that was begun and not ended is cut

    async def _call(self, scope: Scope, exchange: Exchange) -> Exception | None:
        """Await the application. What it raises is returned, unless it ends this very task."""
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except (ClientLeft, ClientStalled):
            return None
        except Exception as error:  # noqa: BLE001 -- one request's fault is that request's
            return without_leaving(error)
        except BaseExceptionGroup as group:
            ending, errors = group.split(_ends_task)
            crash = None if errors is None else without_leaving(errors)
            if crash is not None:
                self._edge.note_crash(crash, scope)
            if ending is not None:
                raise ending from None
        return None

    async def _after(self, exchange: Exchange) -> bool:
        """After a complete response: make ready for the next request, or close."""
        if not exchange.response.keep_alive:
            if not exchange.body_complete or self._wire.has_bytes():
                await self._linger()
            return False
        try:
            if not exchange.body_complete:
                await exchange.drain()
        except (Refused, ClientLeft, ClientStalled):
            return False  # of a request that was answered, and is reported as such
        return not self._wire.left and self._edge.keeps_alive()

    async def _turn_away(self, refused: Refused, scope: Scope | None = None) -> None:
        """Refuse, and leave the client time to read it."""
        self._edge.note_refusal(refused, scope)
        about = scope or refused.about or {"path": ""}
        try:
            await self._wire.send(refusal(refused, about["path"]), LINGER_TIME)
        except (ClientLeft, ClientStalled):
            return
        await self._linger()

    async def _linger(self) -> None:
        """Close such that our last words arrive: unread bytes would make the close a reset."""
        if self._wire.left:
            return
        await self._wire.finish()
        with trio.move_on_after(LINGER_TIME):
            while await self._wire.receive():
                pass


def _ends_task(error: BaseException) -> bool:
    """Whether ``error`` is a cancellation or an exit, not a group of errors or an error."""
    return not isinstance(error, (Exception, BaseExceptionGroup))
