"""One request and its response, as an ASGI application sees them: scope, receive, send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.http.asgi import Event, Headers, Scope
from sluice.http.edge_settings import EdgeSettings

from .bodies import Bodies
from .body_reader import BodyReader
from .head import Request
from .refusals import Refused
from .response import Disconnected, Response
from .response_head import refusal
from .wire import Wire

EXTENSION: Final = "sluice.client"
"""The name in ``scope["extensions"]`` under which an application finds its `Client`."""

REFUSED: Final = "sluice.refused"
"""In ``scope["extensions"]`` once the edge has answered in the application's place: it reports
that request, and nobody else does."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}


class Exchange:
    """One request being answered. ``refused``: the edge answered in the application's place."""

    __slots__ = (
        "_body",
        "_extensions",
        "_head",
        "_request",
        "_settings",
        "_told",
        "_wire",
        "receiving",
        "refused",
        "response",
    )

    def __init__(
        self,
        wire: Wire,
        request: Request,
        settings: EdgeSettings,
        bodies: Bodies,
        may_keep_alive: Callable[[], bool],
    ) -> None:
        self._wire = wire
        self._request = request
        self._settings = settings
        self._body = BodyReader(wire, request, settings, bodies)
        self._head: tuple[int, Headers] | None = None
        self._told = False  # that the body is complete
        self.response = Response(wire, request, self._body, may_keep_alive)
        self._extensions: dict[str, Any] = {EXTENSION: self.response}
        self.receiving = False
        self.refused: Refused | None = None

    def scope(self, base: Scope, state: dict[str, Any]) -> Scope:
        """The ASGI scope; ``base`` has what is the same for all requests of a connection."""
        request = self._request
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": request.version,
            "method": request.method,
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.query,
            "root_path": "",
            "headers": request.headers,
            "state": state.copy(),
            "extensions": self._extensions,
            **base,
        }

    async def receive(self) -> Event:
        """ASGI ``receive``: pieces of the body, then, once the client has left, the news of it.

        A body that cannot be had (malformed, too large, too slow) is refused by the edge; the
        application is told that the client has left.
        """
        if self._told or self.response.complete:
            await self._wait_left()
        elif not self._lost():
            try:
                piece = await self._body.read()
            except (ClientLeft, ClientStalled):
                pass
            except Refused as refused:
                if not self.response.complete:  # else it was answered, and is reported as such
                    await self.refuse(refused)
            else:
                self._told = self._body.complete
                return {"type": "http.request", "body": piece, "more_body": not self._told}
        return {"type": "http.disconnect"}

    async def send(self, event: Event) -> None:
        """ASGI ``send``. Raises `Disconnected` when the client has left, or takes no bytes."""
        kind = event["type"]
        if kind == "http.response.start":
            if self._head is not None or self.response.started:
                raise RuntimeError("the response has started")
            self._head = (event["status"], list(event.get("headers", ())))
        elif kind == "http.response.body":
            if self._lost():
                raise Disconnected
            try:
                await self._send_body(event.get("body", b""), event.get("more_body", False))
            except ClientLeft:
                raise Disconnected from None
            except ClientStalled:
                self.response.reset()
                raise Disconnected from None
        else:
            raise RuntimeError(f"an HTTP response has no {kind}")

    async def refuse(self, refused: Refused) -> None:
        """Answer in the application's place; a response that has started is cut instead."""
        self.refused = refused
        self._extensions[REFUSED] = refused
        if self.response.started:
            self.response.abort()
            return
        try:
            answer = refusal(refused, self._request.path)
            await self._wire.send(answer, self._settings.client_write)
        except (ClientLeft, ClientStalled):
            self.response.reset()

    @property
    def body_complete(self) -> bool:
        """Whether all of the request's body was read."""
        return self._body.complete

    async def drain(self) -> None:
        """Read what the application left of the body. Raises `Refused`, `ClientLeft`."""
        await self._body.drain()

    def close(self) -> None:
        """Forget who watches; nobody reads any more."""
        self._wire.unwatch()
        self._body.close()

    def _lost(self) -> bool:
        return self._wire.left or self.refused is not None

    async def _wait_left(self) -> None:
        if self._lost() or self.response.complete:
            return
        self.receiving = True
        try:
            await self._wire.wait_left()
        finally:
            self.receiving = False

    async def _send_body(self, body: bytes, more: bool) -> None:  # noqa: FBT001 -- as ASGI has it
        response = self.response
        timeout = self._settings.client_write
        if self._head is not None:
            status, headers = self._head
            self._head = None
            response.start(status, headers, None if more else len(body))
        data = response.frame(bytes(body))
        if more:
            await response.send(data, timeout)
        else:
            await response.end(data, timeout)
