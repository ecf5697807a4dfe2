"""A request on a streaming route, from its arrival until it is a stream or turned away."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from sluice.actors.failures import Failure, counted_as
from sluice.actors.limits.callers import Caller
from sluice.actors.streams.client import Client
from sluice.actors.streams.job import Job
from sluice.actors.streams.streams import NotAccepting

from .asgi import JSON, Headers, Receive, Scope, Send, answer
from .asgi_client import asgi_client
from .callers.identity import CHALLENGE
from .cors import Cors
from .errors import retry_after
from .http1.exchange import EXTENSION, REFUSED
from .plain_report import plain_report, request_id
from .services import AppServices


class Arrival:
    """One request: who it is, when it came, and how to turn it away.

    Attributes:
        at: `trio.current_time` of its arrival.
        cors: headers that every answer to it carries; a route adds its format's.
    """

    __slots__ = (
        "_caller",
        "_receive",
        "_scope",
        "_send",
        "_services",
        "at",
        "cors",
        "request_id",
        "route",
    )

    def __init__(
        self,
        services: AppServices,
        cors: Cors,
        route: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._services = services
        self._scope = scope
        self._receive = receive
        self._send = send
        self._caller: Caller | None = None
        self.at = trio.current_time()
        self.route = route
        self.request_id = request_id(scope["headers"])
        self.cors = cors.headers(scope["headers"])

    @property
    def headers(self) -> Headers:
        """The request's."""
        headers: Headers = self._scope["headers"]
        return headers

    @property
    def caller(self) -> Caller:
        """Who sends it. Raises a 401 `Failure`; ask before its body is read."""
        if self._caller is None:
            self._caller = self._services.identity.caller_of(self._scope)
        return self._caller

    async def hand_over(self, job: Job, error_body: Callable[[Failure], bytes]) -> None:
        """Let the streams serve ``job``; if they take none just now, answer 503."""
        client: Client | None = (self._scope.get("extensions") or {}).get(EXTENSION)
        if client is not None:
            taken = await self._run(job, client)
        else:
            async with asgi_client(self._receive, self._send) as foreign:
                taken = await self._run(job, foreign)
        if not taken:
            failure = _not_accepting()
            await self.refuse(failure, error_body(failure))

    async def _run(self, job: Job, client: Client) -> bool:
        try:
            await self._services.streams.run(job, client)
        except NotAccepting:
            return False
        return True

    async def refuse(self, failure: Failure, body: bytes) -> None:
        """Answer with ``failure``, whose JSON is ``body``, and report it. Nothing was done yet."""
        self._report(failure.status, failure.code, failure)
        headers = [JSON, (b"x-request-id", self.request_id.encode()), *self.cors]
        if failure.status == 401:
            headers.append(CHALLENGE)
        if failure.retry_after is not None:
            headers.append((b"retry-after", b"%d" % retry_after(failure.retry_after)))
        await answer(self._send, failure.status, headers, body)

    def described(self) -> None:
        """It is a ``HEAD``, and answered like what it asks about, without a stream."""
        self._report(200, "complete")

    async def nothing_more(self) -> None:
        """Answer 204, at which an ``EventSource`` stops reconnecting (WHATWG SSE, 9.2.3)."""
        self._report(204, "nothing_more")
        await answer(self._send, 204, [(b"x-request-id", self.request_id.encode()), *self.cors])

    def left(self) -> None:
        """There is nobody to answer: the client went before its request was complete.

        Or the edge has refused what it sent, and reports that.
        """
        self._unanswered("client_left")

    def cut(self) -> None:
        """We end before its request was complete."""
        self._unanswered("stopping")

    def _unanswered(self, end: str) -> None:
        if REFUSED not in (self._scope.get("extensions") or ()):
            self._report(0, end)

    def _report(self, status: int, end: str, failure: Failure | None = None) -> None:
        duration = trio.current_time() - self.at
        error = None if failure is None else counted_as(failure)
        report = plain_report(self.request_id, self.route, status, end, duration, error)
        caller = self._caller or self._services.identity.by_address(self._scope)
        self._services.report(msgspec.structs.replace(report, caller=caller))


def _not_accepting() -> Failure:
    return Failure(
        "connection_pool_exhausted",
        "admission",
        "The service is starting or shutting down; try again.",
        status=503,
        code="not_accepting",
        retry_after=1.0,
    )
