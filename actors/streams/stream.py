"""One request on its way: what is known of it, and who may end it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import trio

from sluice.actors.breakers.permits import Permit
from sluice.actors.failures import ClientLeft, ClientStalled, Failure, Interrupted
from sluice.actors.formats.format import Asked, ClientFormat, ProviderFormat
from sluice.actors.formats.sse import encode
from sluice.actors.limits.limiter import headers_of
from sluice.actors.limits.sliding import Verdict
from sluice.actors.metrics.reports import Again, Attempt, Rescue
from sluice.actors.providers.attempts import GiveUp, History, Retry, Step, chain_of, left, next_step
from sluice.actors.providers.upstream_failures import too_slow
from sluice.actors.rescue.delivered import Delivered
from sluice.actors.rescue.replay import told_by
from sluice.actors.rescue.rescue import Way
from sluice.actors.rescue.splice import Splice
from sluice.actors.rescue.spliced import SplicedClient
from sluice.actors.settings import ModelSettings

from .client import Client
from .company import Company
from .flow import Flow
from .job import Job, Services
from .source import Upstream

_EVENT_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)

_COME_BACK = frozenset({429, 503})
"""Statuses that say when to, always (``contract: HTTP``)."""

LONGEST_MODEL = 200
"""Characters of a model's name in a header; names in a configuration have no more."""


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
        self.first_called_at: float | None = None
        self.called_at: float | None = None
        """When the call that is under way, or was the last, began."""
        self.whole_at: float | None = None
        """When a whole answer was complete."""
        self.flow: Flow | None = None
        self.before: Flow | None = None
        """The flow that broke off, and is gone on with."""
        self.way: Way | None = None
        """How whoever is called next goes on; None: from the beginning."""
        self._answered_at: float | None = None
        self.splice: Splice | None = None
        """Where the answer of whoever is called next meets what its client has."""
        self.rescues: list[Rescue] = []
        self.attempts: list[Attempt] = []
        self.again: list[Again] = []
        self.overdue: Failure | None = None
        """What the provider took too long for: its call ends with it, not the stream."""
        self.permit: Permit | None = None
        """That of the call which is under way, or was last."""
        self.interruption: Failure | ClientLeft | ClientStalled | None = None
        self.is_over = False
        """How it ends is decided: all that is left is to tell it."""
        self.look_at = float("inf")
        self._format: ClientFormat | None = None
        self._history: History | None = None
        self._calling = False
        self._let_go: Callable[[], None] | None = None
        """Ends what is under way with the provider, or the wait before the next call."""
        self._company: Company | None = None

    def __repr__(self) -> str:
        return f"<Stream {self.id[:8]} {self.model.name} {self.flow or 'before its answer'}>"

    @property
    def format(self) -> ClientFormat:
        """How its client is told of the answer that it hears: it remembers what it said of it."""
        return self.job.format if self._format is None else self._format

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
        """Raise `Interrupted`, if `interrupt` was called, or the call is `overdue`."""
        if self.interruption is not None or self.overdue is not None:
            raise Interrupted

    def hold(self, let_go: Callable[[], None]) -> None:
        """Remember how to end what is under way with the provider: see `upstream.Hold`."""
        self._let_go = let_go
        if self.interruption is not None or self.overdue is not None:
            let_go()

    def headers(self, *, served: bool = True) -> list[tuple[bytes, bytes]]:
        """What every answer carries, as far as it is known (``contract: HTTP``).

        ``served``: it is known whose answer it is, or whose failure.
        """
        who = [
            (b"x-provider", self.model.provider.encode()),
            (b"x-model", header_name_of(self.model)),
        ]
        return [
            (b"x-request-id", self.job.request_id.encode()),
            (b"x-stream-id", self.id.encode()),
            (b"x-cache", b"MISS"),
            *(who if served else []),
            *([] if self.verdict is None else headers_of(self.verdict)),
            *self._retry_after_header(),
            *self.job.headers,
        ]

    def _retry_after_header(self) -> list[tuple[bytes, bytes]]:
        if self.retry_after is None:
            return []
        return [(b"retry-after", b"%d" % max(1, math.ceil(self.retry_after)))]

    def start_events(self) -> bytes:
        """Set the head of an event stream, once; what has to go before the first event.

        Before a heartbeat it names a provider only if nobody else may still answer.
        """
        if self.head_sent:
            return b""
        self.head_sent = True
        self.http_status = 200
        served = self.answer_began or not self._others
        self.client.start(200, [*_EVENT_STREAM, *self.headers(served=served)])
        return self.job.format.preamble()

    def flow_from(self, upstream: Upstream, provider_format: ProviderFormat) -> Flow:
        """The flow of its events from ``upstream``."""
        assert self.called_at is not None  # noqa: S101 -- an answer comes after a call
        client_format, keep = self.format, self._to_be_kept()
        if self.splice is not None:
            client_format, keep = SplicedClient(client_format, provider_format, self.splice), 0
        self.flow = Flow(
            self.id,
            upstream,
            self.client,
            provider_format=provider_format,
            client_format=client_format,
            timeouts=self.model.timeouts,
            pump=self.services.pump,
            called_at=self.called_at,
            opening=self.start_events,
            keep=keep,
            after=self.before,
            on_content=self.content_began,
        )
        self.look_at = self._due()
        return self.flow

    def content_began(self) -> None:
        """What is called just now has said something: its breaker takes it for well."""
        if self.permit is not None:
            self.permit.answered()

    async def respond(self, status: int, body: bytes, timeout: float) -> None:
        """A whole response in JSON."""
        self.head_sent, self.http_status = True, status
        await self.client.respond(
            status, [(b"content-type", b"application/json"), *self.headers()], body, timeout
        )

    async def fail(self, failure: Failure, timeout: float) -> None:
        """One clear error: a response of its own, or the last frame of one under way."""
        if failure.retry_after is None and failure.status in _COME_BACK:
            failure.retry_after = 1.0
        if not self.head_sent:
            body = self.job.format.failure_body(failure)
            self.retry_after = failure.retry_after
            await self.respond(failure.status, body, timeout)
        elif self.heard is not None:
            await self.heard.fail(failure, timeout)
        elif self.job.streamed:
            event = self.job.format.failure_event(failure)
            text = encode(event.data, event=event.name, id=f"{self.id}-1".encode())
            await self.client.end(self.client.frame(text), timeout)
        else:
            self.client.abort()

    def forget(self) -> None:
        """It is over: let go of what refers back to it, so that no collector has to find it."""
        self.flow = self.before = None
        self._company = None
        self._history = None

    # -- one call after the other ----------------------------------------------------------

    @property
    def answer_began(self) -> bool:
        """Whether the client has had a first byte of an answer: heartbeats and a head are none."""
        return self.heard is not None and self.heard.first_chunk_at is not None

    def after(self, failure: Failure) -> Step:
        """What comes after a call that failed before the answer began: see `attempts`."""
        now, services = trio.current_time(), self.services
        step = next_step(
            self._asking(now), failure, services.retries, now=now, chance=services.chance()
        )
        if isinstance(step, GiveUp):
            self.model = step.model
        else:
            by: Literal["retry", "fallback"] = "retry" if isinstance(step, Retry) else "fallback"
            self.again.append(Again(by, self.model.provider, step.reason))
        return step

    def _asking(self, now: float) -> History:
        if self._history is None:
            began = now if self.first_called_at is None else self.first_called_at
            chain = chain_of(self.model, self.services.routing)
            self._history = History(chain, began, self.services.permits.blocks)
        return self._history

    async def turn_to(self, model: ModelSettings) -> None:
        """``model`` is asked next, and what it says is the first that the client hears.

        What an answer that never began made of the format is forgotten: its client has none of it.
        """
        self.model = model
        if not self.answer_began:
            self._format = self.format.anew()
        flow, self.flow = self.flow, None
        if flow is not None:
            await self._part_with(flow)

    async def _part_with(self, flow: Flow) -> None:
        """Of an answer that never began, at most a part of a heartbeat is still to be sent."""
        pending, flow.pending = flow.pending, b""
        if pending:
            await self.client.send(pending, self.model.timeouts.client_write)
        self._company = Company(self, flow.sent_at)

    async def pause(self, seconds: float) -> None:
        """Wait before the next call, in company. `interrupt` ends it: then raises `Interrupted`."""
        over = trio.Event()
        self.hold(over.set)
        self.look_at = self._due()
        self.services.scan.add(self)
        try:
            with trio.move_on_after(seconds):
                await over.wait()
        finally:
            self.call_over()
        self.check()

    # -- going on with what broke off ------------------------------------------------------

    @property
    def heard(self) -> Flow | None:
        """The flow that its client heard last, be it that it broke off."""
        return self.before if self.flow is None else self.flow

    @property
    def asked(self) -> Asked:
        """What whoever is called next is asked."""
        return self.job.asked if self.way is None else self.way.asked

    def left(self) -> list[ModelSettings]:
        """Who may go on with its answer."""
        return left(self._asking(trio.current_time()))

    def _to_be_kept(self) -> int:
        """Bytes of an answer that are kept for a rescue; 0 where nobody could go on with it."""
        rescue = self.services.rescue
        return rescue.memory if rescue.enabled and self._others else 0

    @property
    def _others(self) -> Sequence[object]:
        """Whoever may be asked after `model`."""
        history = self._history
        return self.model.fallback if history is None else history.chain[history.at + 1 :]

    def told(self) -> Delivered | None:
        """What its client has of an answer that broke off; None: no rescue is wanted."""
        flow = self.flow
        if flow is None or not self._to_be_kept():
            return None
        kept, flow.kept = flow.kept, None
        if kept is None:
            return Delivered(obstacle="too_long")
        return told_by(kept, self.services.providers[self.model.provider].format, self.format)

    async def go_on(self, way: Way, splice: Splice) -> None:
        """Whoever is called next goes on with the answer. What of it is pending is sent first."""
        if self.flow is not None:
            self._answered_at = self.answered_at
            self.before = self.flow
        self.way, self.splice = way, splice
        await self.turn_to(way.model)
        self.check()

    async def end_as_it_is(self) -> None:
        """Its client has the whole answer, and gets the end marker that its provider owed."""
        if self.flow is not None:
            await self.flow.finish()

    # -- what happened ---------------------------------------------------------------------

    @property
    def first_content_at(self) -> float | None:
        """When the provider had said something: for a whole answer, all of it."""
        return self.whole_at if self.flow is None else self.flow.first_content_at

    @property
    def answered_at(self) -> float | None:
        """When the first provider had that did not fail before it."""
        return self.first_content_at if self._answered_at is None else self._answered_at

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
        if self.first_called_at is None:
            self.first_called_at = now
        self._calling = True
        if self._company is None and self.job.streamed:
            self._company = Company(self, now)
        self.look_at = self._due()
        self.services.scan.add(self)

    def call_over(self) -> None:
        """The provider's connection is let go of, and nothing can become due any more."""
        self._let_go = self.overdue = None
        self._calling = False
        self.services.scan.remove(self)

    async def leave_company(self) -> None:
        """The task writes to the client from here on."""
        if self._company is not None:
            await self._company.leave()
            if self.before is not None:
                self.before.sent_at = self._company.sent_at
            self._company = None

    def _due(self) -> float:
        if self.flow is not None:
            return self.flow.due()
        due = float("inf") if self._company is None else self._company.heartbeat_at
        if self._calling and self.called_at is not None:
            timeouts = self.model.timeouts
            due = min(due, self._began_at + timeouts.total)
            if self.job.streamed:
                due = min(due, self.called_at + timeouts.first_chunk)
        return due

    def on_due(self, now: float) -> None:
        """The scan's look: see `Scan`."""
        if self.flow is not None:
            self.flow.on_due(now)
        else:
            self._on_due_before_answer(now)
        self.look_at = max(self._due(), now)

    def _on_due_before_answer(self, now: float) -> None:
        if self._calling and self.called_at is not None and self.overdue is None:
            self.overdue = self._too_slow(now - self.called_at, now - self._began_at)
        if self.overdue is not None:
            if self._let_go is not None:
                self._let_go()
        elif self._company is not None and now >= self._company.heartbeat_at:
            self._company.begin()

    @property
    def _began_at(self) -> float:
        """When the answer was asked for that is waited for: see `Flow.began_at`."""
        return (self.called_at or 0.0) if self.before is None else self.before.began_at

    def _too_slow(self, seconds: float, in_all: float) -> Failure | None:
        """What a call without an answer has taken too long for: it, and what it goes on with."""
        timeouts = self.model.timeouts
        if in_all >= timeouts.total:
            return too_slow("total", streaming=False)
        if self.job.streamed and seconds >= timeouts.first_chunk:
            return too_slow("first_chunk")
        return None


def header_name_of(model: ModelSettings) -> bytes:
    """What ``X-Model`` says: of one that was found by a pattern, what its provider calls it.

    That is a client's word, and goes into a header only if it is short and can stand there.
    """
    name = model.upstream_model
    if not model.name.endswith("*") or name is None:
        return model.name.encode()
    fits = name.isascii() and name.isprintable() and len(name) <= LONGEST_MODEL
    return (name.strip() if fits else model.name).encode()
