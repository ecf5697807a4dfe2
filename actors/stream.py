"""One request on its way: what is known of it, and who may end it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec
import trio

from sluice.engine import Ref

from .callers import Caller
from .client import Client
from .failures import ClientLeft, ClientStalled, Failure, Interrupted
from .flow import Flow, Upstream
from .formats import Asked, ClientFormat, ProviderFormat
from .limiter import Limiter, headers_of
from .provider import ProviderClient
from .pump import Pump
from .reports import Attempt, RequestReport
from .returns import Returns
from .scan import Scan
from .settings import ModelSettings
from .sliding import Verdict
from .sse import HEARTBEAT, encode
from .upstream_failures import too_slow

_EVENT_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A validated request: what is asked of whom, and how the client wants to hear it.

    ``arrived`` and ``validated`` are
    `trio.current_time` of the request's arrival and of the end of its validation.
    """

    request_id: str
    route: str
    model: ModelSettings
    streamed: bool
    asked: Asked
    format: ClientFormat
    caller: Caller
    arrived: float
    validated: float
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """More headers for the client, such as those of CORS."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream needs of the worker it lives in."""

    limiter: Limiter
    connections: Ref
    returns: Returns
    """Where slots are given back."""
    providers: Mapping[str, ProviderClient]
    pump: Pump
    scan: Scan
    spawn: Callable[..., None]
    """Start a task beside the streams' own: ``spawn(async_function, *args)``."""
    report: Callable[[RequestReport], None]
    """Told once of each stream, when it has ended: to log it and to count it."""
    on_fault: Callable[[BaseException], None]


class Stream:
    """One request on its way. Its task is in `relay.live`; others may `interrupt` it."""

    def __init__(self, stream_id: str, job: Job, client: Client, services: Services) -> None:
        self.id = stream_id
        self.job = job
        self.model = job.model
        """Whom it is, or was last, asked of."""
        self.client = client
        self.services = services
        self.ended = trio.Event()
        """The client has all that it gets, and the report is told."""
        self.holds_slot = False
        self.head_sent = False
        self.http_status = 0
        self.retry_after: float | None = None
        self.patience = services.limiter.patience()
        """For the store, of all that is asked there for its sake."""
        self.verdict: Verdict | None = None
        """The limiter's; None: nobody asked, or its caller is not limited."""
        self.limited_at = job.validated
        """When the limiter had decided."""
        self.admitted_at: float | None = None
        self.called_at: float | None = None
        self.whole_at: float | None = None
        """When a whole answer was complete."""
        self.flow: Flow | None = None
        self.attempts: list[Attempt] = []
        self.interruption: Failure | ClientLeft | ClientStalled | None = None
        self.is_over = False
        """How it ends is decided: all that is left is to tell it."""
        self.look_at = float("inf")
        self._let_go: Callable[[], None] | None = None
        """Ends what is under way with the provider."""
        self._company: _Company | None = None

    def __repr__(self) -> str:
        return f"<Stream {self.id[:8]} {self.model.name} {self.flow or 'before its answer'}>"

    def interrupt(self, reason: Failure | ClientLeft | ClientStalled) -> None:
        """End it: honestly towards its client, at once towards its provider. Synchronous.

        Its task finds what it waits for ended, and then the reason (`check`). A cancel scope
        would do the same, at the price of a twentieth of a short stream. Only the wait for a slot
        is not ended: that is bounded by its deadline.
        """
        if self.is_over or self.interruption is not None:
            return
        self.interruption = reason
        if self.flow is not None:
            self.flow.wake()
        if self._let_go is not None:
            self._let_go()
        if self._company is None or not self._company.writes:
            self.client.give_up()

    def check(self) -> None:
        """Raise `Interrupted`, if `interrupt` was called."""
        if self.interruption is not None:
            raise Interrupted

    def hold(self, let_go: Callable[[], None]) -> None:
        """Remember how to end what is under way with the provider: see `upstream.Hold`."""
        self._let_go = let_go
        if self.interruption is not None:
            let_go()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer carries, as far as it is known (``contract: HTTP``)."""
        return [
            (b"x-request-id", self.job.request_id.encode()),
            (b"x-stream-id", self.id.encode()),
            (b"x-cache", b"MISS"),
            (b"x-provider", self.model.provider.encode()),
            *([] if self.verdict is None else headers_of(self.verdict)),
            *self._retry_after_header(),
            *self.job.headers,
        ]

    def _retry_after_header(self) -> list[tuple[bytes, bytes]]:
        if self.retry_after is None:
            return []
        return [(b"retry-after", b"%d" % max(1, math.ceil(self.retry_after)))]

    def start_events(self) -> bytes:
        """Set the head of an event stream, once; what has to go before the first event."""
        if self.head_sent:
            return b""
        self.head_sent = True
        self.http_status = 200
        self.client.start(200, [*_EVENT_STREAM, *self.headers()])
        return self.job.format.preamble()

    def flow_from(self, upstream: Upstream, provider_format: ProviderFormat) -> Flow:
        """The flow of its events from ``upstream``."""
        assert self.called_at is not None  # noqa: S101 -- an answer comes after a call
        self.flow = Flow(
            self.id,
            upstream,
            self.client,
            provider_format=provider_format,
            client_format=self.job.format,
            timeouts=self.model.timeouts,
            pump=self.services.pump,
            called_at=self.called_at,
            opening=self.start_events,
        )
        self.look_at = self._due()
        return self.flow

    async def respond(self, status: int, body: bytes, timeout: float) -> None:
        """A whole response in JSON."""
        self.head_sent, self.http_status = True, status
        await self.client.respond(
            status, [(b"content-type", b"application/json"), *self.headers()], body, timeout
        )

    async def fail(self, failure: Failure, timeout: float) -> None:
        """One clear error: a response of its own, or the last frame of one under way."""
        if not self.head_sent:
            body = self.job.format.failure_body(failure)
            self.retry_after = failure.retry_after
            await self.respond(failure.status, body, timeout)
        elif self.flow is not None:
            await self.flow.fail(failure, timeout)
        elif self.job.streamed:
            event = self.job.format.failure_event(failure)
            text = encode(event.data, event=event.name, id=f"{self.id}-1".encode())
            await self.client.end(self.client.frame(text), timeout)
        else:
            self.client.abort()

    def forget(self) -> None:
        """It is over: let go of what refers back to it, so that no collector has to find it."""
        self.flow = None
        self._company = None

    # -- what happened ---------------------------------------------------------------------

    @property
    def first_content_at(self) -> float | None:
        """When the provider had said something: for a whole answer, all of it."""
        return self.whole_at if self.flow is None else self.flow.first_content_at

    @property
    def latency(self) -> float | None:
        """Seconds from the call to the first content (``decision 18``)."""
        if self.called_at is None or self.first_content_at is None:
            return None
        return self.first_content_at - self.called_at

    # -- time ------------------------------------------------------------------------------

    def called(self, now: float) -> None:
        """The provider is about to be called: from here on the scan looks after the stream."""
        self.called_at = now
        if self.job.streamed:
            self._company = _Company(self, now)
        self.look_at = self._due()
        self.services.scan.add(self)

    def call_over(self) -> None:
        """The provider's connection is let go of, and nothing can become due any more."""
        self._let_go = None
        self.services.scan.remove(self)

    async def leave_company(self) -> None:
        """The task writes to the client from here on."""
        if self._company is not None:
            await self._company.leave()
            self._company = None

    def _due(self) -> float:
        assert self.called_at is not None  # noqa: S101 -- `called` sets it before the first look
        timeouts = self.model.timeouts
        if self.flow is not None:
            return self.flow.due()
        due = self.called_at + timeouts.total
        if self._company is not None:
            due = min(due, self.called_at + timeouts.first_chunk, self._company.heartbeat_at)
        return due

    def on_due(self, now: float) -> None:
        """The scan's look: see `Scan`."""
        if self.flow is not None:
            self.flow.on_due(now)
        elif self.called_at is not None:
            self._on_due_before_answer(now, self.called_at)
        self.look_at = max(self._due(), now)

    def _on_due_before_answer(self, now: float, called_at: float) -> None:
        timeouts = self.model.timeouts
        if now >= called_at + timeouts.total:
            self.interrupt(too_slow("total", streaming=False))
        elif self._company is None:
            return
        elif now >= called_at + timeouts.first_chunk:
            self.interrupt(too_slow("first_chunk"))
        elif now >= self._company.heartbeat_at:
            self._company.begin()


class _Company:
    """Heartbeats for a client that waits for a first byte: a task, when it takes that long.

    While it is there it owns the way to the client; `leave` returns when it has given it back.
    """

    def __init__(self, stream: Stream, now: float) -> None:
        self._stream = stream
        self._every = stream.model.timeouts.heartbeat
        self._leaving: trio.CancelScope | None = None
        self._gone: trio.Event | None = None
        self.heartbeat_at = now + self._every

    @property
    def writes(self) -> bool:
        """Whether the way to the client is its own just now."""
        return self._gone is not None and not self._gone.is_set()

    def begin(self) -> None:
        """The first heartbeat is due. Later ones are the task's own business."""
        self.heartbeat_at = float("inf")
        self._gone = trio.Event()
        self._leaving = trio.CancelScope()
        self._stream.services.spawn(self._keep, self._leaving, self._gone)

    async def leave(self) -> None:
        """Send no more; return when nothing of it is under way."""
        if self._leaving is not None and self._gone is not None:
            self._leaving.cancel()
            await self._gone.wait()

    async def _keep(self, leaving: trio.CancelScope, gone: trio.Event) -> None:
        client, timeout = self._stream.client, self._stream.model.timeouts.client_write
        try:
            with leaving:
                while True:
                    text = self._stream.start_events() + HEARTBEAT
                    with trio.CancelScope(shield=True):  # a write that was begun is ended
                        await client.send(client.frame(text), timeout)
                    await trio.sleep(self._every)
        except (ClientLeft, ClientStalled) as reason:
            self._stream.interrupt(reason)
        finally:
            gone.set()
