"""One stream's bytes, from the provider's connection to the client's.

A `Flow` has one owner at a time: the stream's task, or, while the task sleeps in `next`, the
worker's pump and scan. Hand-over is synchronous: whoever wakes the task has first taken the
flow out of the pump. What the task finds then stands in the flow: ``pending`` bytes, ``ended``,
``failure``, ``client_left``, or a provider whose body is ``complete``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from .client import Client
from .failures import ClientLeft, Failure, UpstreamFault
from .formats import ClientFormat, Event, ProviderFormat
from .pump import Pump
from .settings import Timeouts
from .sse import HEARTBEAT, FrameTooLarge, SseDecoder, encode
from .upstream_failures import broken, internal, no_end_marker, too_large, too_slow


class Upstream(Protocol):
    """What a flow needs of a provider's connection (see `sluice.actors.upstream`)."""

    @property
    def fd(self) -> int:
        """The socket's descriptor."""

    @property
    def complete(self) -> bool:
        """Whether the body has ended as its framing says."""

    def receive_nowait(self) -> bytes:
        """Body bytes of one read. Raises `BlockingIOError`, `UpstreamFault`."""

    async def receive(self) -> bytes:
        """The same, waiting for something to read."""


class Flow:
    """The bytes of one stream.

    Args:
        stream_id: 128 random bits in hexadecimal; the first part of every event's ``id``.
        upstream: the provider's connection, its head read, its status good.
        client: where events go; its head is set by ``opening``.
        called_at: when the request was sent; ``first_chunk`` runs from there.
        opening: sets the client's head, once; returns SSE text that precedes what follows.
        on_content: told of the first content; neither blocks nor raises.
    """

    __slots__ = (
        "_called_at",
        "_client",
        "_client_format",
        "_feed",
        "_on_content",
        "_opened",
        "_opening",
        "_parked",
        "_prefix",
        "_provider_format",
        "_pump",
        "_read",
        "_receive",
        "_render",
        "_timeouts",
        "_upstream",
        "chunks",
        "client_left",
        "ended",
        "events",
        "failure",
        "first_chunk_at",
        "first_content_at",
        "heard_at",
        "pending",
        "sent_at",
        "told_chunks",
    )

    def __init__(  # noqa: PLR0913 -- a flow is where these meet
        self,
        stream_id: str,
        upstream: Upstream,
        client: Client,
        *,
        provider_format: ProviderFormat,
        client_format: ClientFormat,
        timeouts: Timeouts,
        pump: Pump,
        called_at: float,
        opening: Callable[[], bytes],
        on_content: Callable[[], None] = lambda: None,
    ) -> None:
        self._opening = opening
        self._on_content = on_content
        self._opened = False
        self._prefix = b"id: " + stream_id.encode() + b"-"
        self._upstream = upstream
        self._client = client
        self._provider_format = provider_format
        self._read = provider_format.read
        self._client_format = client_format
        self._timeouts = timeouts
        self._pump = pump
        # What every chunk needs is bound once: a look-up a call adds up.
        self._receive = upstream.receive_nowait
        self._feed = SseDecoder().feed_data
        self._render = client_format.render
        self._parked: trio.lowlevel.Task | None = None
        self._called_at = called_at
        self.heard_at = self.sent_at = trio.current_time()
        self.first_chunk_at: float | None = None
        self.first_content_at: float | None = None
        self.events = 0
        self.chunks = 0
        self.told_chunks = 0
        self.pending = b""
        self.ended = False
        self.failure: Failure | None = None
        self.client_left = False

    def __repr__(self) -> str:
        state = "ended" if self.ended else "failed" if self.failure else "open"
        return f"<Flow {state}, {self.chunks} chunks, {len(self.pending)} bytes pending>"

    # -- what the bytes mean ---------------------------------------------------------------

    def translate(self, data: bytes, now: float) -> bytes:
        """SSE text for the client, unframed, made of ``data`` of the provider's body.

        Stops at the end marker and at a failure, which it leaves in ``ended`` and ``failure``.
        """
        self.heard_at = now
        out: list[bytes] = []
        try:
            for said in self._feed(data):
                chunk = self._read(said)
                if chunk is None:
                    self.ended = True
                    break
                if self.first_content_at is None and chunk.says_something:
                    self._content_began(now)
                made = self._render(said, chunk)
                if isinstance(made, bytes) and b"\n" not in made:
                    self.chunks += 1
                    self.events += 1
                    out.append(b"%b%d\ndata: %b\n\n" % (self._prefix, self.events, made))
                elif isinstance(made, bytes):
                    self.chunks += 1
                    out.append(self._numbered(Event(made)))
                else:
                    self.chunks += len(made)
                    out += [self._numbered(each) for each in made]
        except FrameTooLarge:
            self.failure = too_large()
        except Failure as failure:
            self.failure = failure
        if out and self.first_chunk_at is None:
            self.first_chunk_at = now
        return b"".join(out)

    def _content_began(self, now: float) -> None:
        self.first_content_at = now
        self._on_content()
        if not self._client_format.reads_text:
            self._read = self._provider_format.skim

    def _numbered(self, event: Event) -> bytes:
        self.events += 1
        return encode(event.data, event=event.name, id=b"%b%d" % (self._prefix[4:], self.events))

    def _framed(self, text: bytes) -> bytes:
        if not self._opened:
            self._opened = True
            text = self._opening() + text
        return self._client.frame(text)

    # -- time ------------------------------------------------------------------------------

    def due(self) -> float:
        """When something must be decided if nothing happens until then."""
        due = min(
            self.heard_at + self._timeouts.idle,
            self.sent_at + self._timeouts.heartbeat,
            self._called_at + self._timeouts.total,
        )
        if self.first_content_at is None:
            due = min(due, self._called_at + self._timeouts.first_chunk)
        return due

    def overdue(self, now: float) -> Failure | None:
        """What has taken too long at ``now``. Heartbeats re-arm nothing; pings only ``idle``."""
        if now >= self._called_at + self._timeouts.total:
            return too_slow("total", streaming=True)
        if self.first_content_at is None and now >= self._called_at + self._timeouts.first_chunk:
            return too_slow("first_chunk", streaming=True)
        if now >= self.heard_at + self._timeouts.idle:
            return too_slow("idle")
        return None

    def on_due(self, now: float) -> None:
        """The scan found `due` passed: fail, or keep the client company. Nothing unless parked."""
        if self._parked is None:
            return
        self.failure = self.overdue(now)
        if self.failure is not None:
            self.wake()
        elif now >= self.sent_at + self._timeouts.heartbeat:
            self.pending = self._framed(HEARTBEAT)
            self._flush()
            self.sent_at = now

    # -- the task owns it ------------------------------------------------------------------

    async def next(self) -> None:
        """Return when there is something to decide: see the module's first lines."""
        if not (self._client.direct and self._pump.alive):
            await self._advance()
            return
        now = trio.current_time()
        if now >= self._called_at + self._timeouts.total:
            # Said here too, because a slow client keeps the flow from ever being parked.
            self.failure = too_slow("total", streaming=True)
            return
        if not self._move(now) and self.pending:
            self._flush()
        if not (self.ended or self.failure or self.client_left or self.pending):
            await self._park()

    async def _advance(self) -> None:
        """Do as a task what the pump does: for clients that no pump can write to."""
        with trio.move_on_at(self.due()) as scope:
            try:
                data = await self._upstream.receive()
            except UpstreamFault as fault:
                self.failure = broken(fault)
                return
            if data:
                text = self.translate(data, trio.current_time())
                if text:
                    self.pending = self._framed(text)
            if self._upstream.complete:
                self._check_end()
        if scope.cancelled_caught:
            now = trio.current_time()
            self.failure = self.overdue(now)
            if self.failure is None and now >= self.sent_at + self._timeouts.heartbeat:
                self.pending = self._framed(HEARTBEAT)

    def _check_end(self) -> None:
        """The body is complete: so must be what it said."""
        if not self.ended and self.failure is None:
            self.failure = no_end_marker()

    async def flush(self) -> None:
        """Send what is pending. Raises `ClientLeft`, `ClientStalled`."""
        pending, self.pending = self.pending, b""
        before = trio.current_time()
        with trio.move_on_at(self._called_at + self._timeouts.total) as waiting:
            await self._client.send(pending, self._timeouts.client_write)
        if waiting.cancelled_caught:
            self.failure = too_slow("total", streaming=True)
        self.sent_at = trio.current_time()
        # While the client kept us waiting, the provider was not listened to.
        self.heard_at += self.sent_at - before

    async def finish(self) -> None:
        """Send what is pending, the format's end marker and the end of the body."""
        await self._close(self._client_format.end(), self._timeouts.client_write)

    async def fail(self, failure: Failure, timeout: float) -> None:
        """Send what is pending, one error frame, no end marker, and the end of the body."""
        await self._close((self._client_format.failure_event(failure),), timeout)

    async def _close(self, events: Sequence[Event], timeout: float) -> None:
        pending, self.pending = self.pending, b""
        text = b"".join([self._numbered(event) for event in events])
        await self._client.end(pending + self._framed(text), timeout)
        self.sent_at = trio.current_time()

    # -- the pump owns it ------------------------------------------------------------------

    async def _park(self) -> None:
        """Sleep while the pump moves the bytes."""
        self._parked = trio.lowlevel.current_task()
        self._pump.add(self._upstream.fd, self._on_ready, self._on_lost, self._flush)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._unpark()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _unpark(self) -> trio.lowlevel.Task | None:
        task, self._parked = self._parked, None
        if task is not None:
            self._pump.remove(self._upstream.fd)
        return task

    def wake(self) -> None:
        """Give the flow back to its task, if that sleeps in `next`. Idempotent."""
        task = self._unpark()
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _on_lost(self, fault: BaseException | None) -> None:
        if fault is not None:
            self.failure = internal("streaming")
        self.wake()

    def _on_ready(self) -> bytes:
        """The provider's socket is ready; what there is to `_flush` then."""
        if self._move(self._pump.now):
            self.wake()
        return self.pending

    def _move(self, now: float) -> bool:
        """Make ``pending`` what one read brings, without waiting; whether that was the last."""
        try:
            data = self._receive()
        except BlockingIOError:
            return False
        except UpstreamFault as fault:
            self.failure = broken(fault)
            return True
        if data:  # framing alone, or half a TLS record, says nothing
            text = self.translate(data, now)
            if text:
                self.pending = self._client.frame(text) if self._opened else self._framed(text)
        if self._upstream.complete:
            self._check_end()
        return self.ended or self.failure is not None

    def _flush(self) -> None:
        """Send at once what the socket takes; the rest, and the waiting, are the task's."""
        pending = self.pending
        try:
            sent = self._client.send_nowait(pending)
        except ClientLeft:
            self.client_left = True
            self.wake()
            return
        self.sent_at = self.heard_at
        if sent == len(pending):
            self.pending = b""
        else:
            self.pending = pending[sent:]
            self.wake()
