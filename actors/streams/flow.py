"""One stream's bytes, from the provider's connection to the client's.

A `Flow` has one owner at a time: the stream's task, or, while the task sleeps in `next`, the
worker's pump and scan. Hand-over is synchronous: whoever wakes the task has first taken the
flow out of the pump. What the task finds then stands in the flow: ``pending`` bytes, ``ended``,
``failure``, ``client_left``, or a provider whose body is ``complete``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import trio

from sluice.actors.failures import ClientLeft, Failure, UpstreamFault
from sluice.actors.formats.format import Chunk, ClientFormat, ProviderFormat
from sluice.actors.formats.sse import HEARTBEAT, FrameTooLarge, SseDecoder, SseEvent
from sluice.actors.providers.upstream_failures import (
    broken,
    internal,
    no_end_marker,
    too_large,
    too_slow,
)
from sluice.actors.rescue.doubt import Doubt
from sluice.actors.settings import Timeouts

from .client import Client
from .frames import Frames
from .pump import Pump
from .source import Upstream
from .texts import Texts

HELD = 64 * 1024
"""Bytes of events that say nothing yet, such as a role, that are held back at most."""


class Flow:
    """The bytes of one stream.

    Args:
        stream_id: 128 random bits in hexadecimal; the first part of every event's ``id``.
        upstream: the provider's connection, its head read, its status good.
        client: where events go; its head is set by ``opening``.
        called_at: when the request was sent; ``first_chunk`` runs from there.
        opening: sets the client's head, once; returns SSE text that precedes what follows.
        keep: bytes of the provider's events that are kept in ``kept``, for a rescue.
        after: the flow that this one goes on with: its client has had so much.
        on_content: told of the first content; neither blocks nor raises.
    """

    __slots__ = (
        "_called_at",
        "_client",
        "_client_format",
        "_doubt",
        "_end",
        "_feed",
        "_frames",
        "_held",
        "_keep",
        "_may_follow",
        "_on_content",
        "_opened",
        "_opening",
        "_parked",
        "_pump",
        "_read",
        "_receive",
        "_render",
        "_room",
        "_skim",
        "_texts",
        "_timeouts",
        "_upstream",
        "began_at",
        "client_left",
        "ended",
        "failure",
        "first_chunk_at",
        "first_content_at",
        "heard_at",
        "kept",
        "pending",
        "sent_at",
        "told_chunks",
        "usage_begun",
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
        keep: int = 0,
        after: Flow | None = None,
        on_content: Callable[[], None] = lambda: None,
    ) -> None:
        self._opening = opening
        self._on_content = on_content
        self._opened = False
        self._held = b""
        self._frames = Frames(stream_id)
        self._upstream = upstream
        self._client = client
        self._client_format = client_format
        self._timeouts = timeouts
        self._pump = pump
        # What every chunk needs is bound once: a look-up a call adds up.
        self._receive = upstream.receive_nowait
        decoder = SseDecoder(strict=True)
        self._feed: Callable[[bytes], Sequence[bytes | SseEvent]] = (
            decoder.feed_named if provider_format.named else decoder.feed_data
        )
        reader = provider_format.reader()
        self._read = reader.read
        self._may_follow = reader.follows
        self.usage_begun = reader.usage_begun
        same = provider_format.name == client_format.name
        self._texts = None if same else Texts(reader, client_format, self._frames)
        self._render = client_format.render if self._texts is None else self._texts.compose
        self._skim = reader.skim if same and not client_format.reads_text else reader.read
        self._end = b""
        self._parked: trio.lowlevel.Task | None = None
        self._called_at = called_at
        self.began_at = called_at
        """When the answer was asked for that this is all or the rest of: ``total`` runs from it."""
        self.heard_at = self.sent_at = trio.current_time()
        self.first_chunk_at: float | None = None
        self.first_content_at: float | None = None
        self.told_chunks = 0
        self.pending = b""
        self.ended = False
        self.failure: Failure | None = None
        self.client_left = False
        self._doubt: Doubt | None = None
        self._room = self._keep = keep
        self.kept: list[bytes | SseEvent] | None = [] if keep else None
        """The provider's events as they came; None: they are not kept, or were too much."""
        if after is not None:
            self._go_on_after(after)

    def _go_on_after(self, other: Flow) -> None:
        self.began_at = other.began_at
        self.sent_at = other.sent_at
        self.first_chunk_at = other.first_chunk_at
        self._frames.go_on_after(other._frames)
        self.told_chunks = other.told_chunks

    def __repr__(self) -> str:
        state = "ended" if self.ended else "failed" if self.failure else "open"
        return f"<Flow {state}, {self.chunks} chunks, {len(self.pending)} bytes pending>"

    @property
    def chunks(self) -> int:
        """Events of the answer that were made for the client."""
        return self._frames.chunks

    @property
    def dropped(self) -> int:
        """Malformed frames that were left out."""
        return 0 if self._doubt is None else self._doubt.dropped

    # -- what the bytes mean ---------------------------------------------------------------

    def translate(self, data: bytes, now: float) -> bytes:
        """SSE text for the client, unframed, made of ``data`` of the provider's body.

        Stops at the end marker and at a failure, which it leaves in ``ended`` and ``failure``.
        """
        self.heard_at = now
        out: list[bytes] = []
        try:
            events = iter(self._feed(data))
            if self._texts is not None:
                events = self._texts.told(events, out, self.kept)
            while not self._made_all(events, out, now):
                pass
        except FrameTooLarge:
            self.failure = too_large()
        except Failure as failure:
            self.failure = failure
        if self.kept is not None:
            self._room -= len(data)
            if self._room < 0:
                self._bound(self.kept)
        text = b"".join(out)
        return self._once_said(text, now) if self.first_chunk_at is None else text

    def _made_all(self, events: Iterator[bytes | SseEvent], out: list[bytes], now: float) -> bool:
        """Put into ``out`` what ``events`` make. False: one was left out, and there may be more."""
        kept, frames = self.kept, self._frames
        try:
            for said in events:
                chunk = self._read(said)
                if chunk is None:
                    self.ended = True
                    break
                if self.first_content_at is None:
                    self._look_for_content(chunk, now)
                made = self._render(said, chunk)
                if kept is not None:  # what cannot be told, its client has not
                    kept.append(said)
                if isinstance(made, bytes) and b"\n" not in made:
                    frames.chunks += 1
                    frames.events += 1
                    out.append(b"%b%d\ndata: %b\n\n" % (frames.prefix, frames.events, made))
                elif isinstance(made, SseEvent):
                    out.append(frames.named(made))
                else:
                    out.append(frames.text_of(made))
                if chunk.ends:
                    self.ended = True
                    if made is said:
                        self._end = out.pop()
                    break
        except Failure as failure:
            self._leave_out(failure)
            return False
        return True

    def _once_said(self, text: bytes, now: float) -> bytes:
        """``text`` and what was held back before it; nothing while nothing has been said.

        Until then it may still be another provider that answers.
        """
        self._held += text
        if self.first_content_at is None and not self.ended and len(self._held) < HELD:
            return b""
        text, self._held = self._held, b""
        if text:
            self.first_chunk_at = now
        return text

    def _bound(self, kept: list[bytes | SseEvent]) -> None:
        """So many bytes came: keep no more events than there is room for, and then none."""
        sizes = (len(said if isinstance(said, bytes) else said.data) for said in kept)
        self._room = self._keep - sum(sizes)
        if self._room < 0:
            self.kept = None

    def _leave_out(self, failure: Failure) -> None:
        """A frame could not be read: raise ``failure``, unless the answer goes on without it."""
        if self._doubt is None:
            if not self._frames.events:
                raise failure
            self._doubt = Doubt(self._read, self._may_follow)
        self._doubt.over(failure)
        self._read = self._doubt.read
        if self._texts is not None:
            self._texts.interrupt(self._doubt)

    def _cause(self, failure: Failure) -> Failure:
        """``failure``, or that of a malformed frame after which nothing else came."""
        return failure if self._doubt is None else self._doubt.pending or failure

    def _look_for_content(self, chunk: Chunk, now: float) -> None:
        if chunk.says_something:
            self.first_content_at = now
            self._read = self._skim
            self._on_content()

    # -- what a client gets of them --------------------------------------------------------

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
            self.began_at + self._timeouts.total,
        )
        if self.first_content_at is None:
            due = min(due, self._called_at + self._timeouts.first_chunk)
        return due

    def overdue(self, now: float) -> Failure | None:
        """What has taken too long at ``now``. Heartbeats re-arm nothing; pings only ``idle``."""
        if now >= self.began_at + self._timeouts.total:
            return too_slow("total", streaming=True)
        if self.first_content_at is None and now >= self._called_at + self._timeouts.first_chunk:
            return too_slow("first_chunk", streaming=True)
        if now >= self.heard_at + self._timeouts.idle:
            return self._cause(too_slow("idle"))
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
        if now >= self.began_at + self._timeouts.total:
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
                self.failure = self._cause(broken(fault))
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
            self.failure = self._cause(no_end_marker())

    async def flush(self) -> None:
        """Send what is pending. Raises `ClientLeft`, `ClientStalled`."""
        pending, self.pending = self.pending, b""
        before = trio.current_time()
        with trio.move_on_at(self.began_at + self._timeouts.total) as waiting:
            await self._client.send(pending, self._timeouts.client_write)
        if waiting.cancelled_caught:
            self.failure = too_slow("total", streaming=True)
        self.sent_at = trio.current_time()
        # While the client kept us waiting, the provider was not listened to.
        self.heard_at += self.sent_at - before

    async def finish(self) -> None:
        """Send what is pending, the format's end marker and the end of the body."""
        marker = [] if self._end else self._client_format.end()
        end = self._end + b"".join([self._frames.numbered(event) for event in marker])
        await self._close(end, self._timeouts.client_write)

    async def fail(self, failure: Failure, timeout: float) -> None:
        """Send what is pending, one error frame, no end marker, and the end of the body."""
        if self.first_chunk_at is None:
            self._frames.forget()  # what was held back is never sent
        await self._close(
            self._frames.numbered(self._client_format.failure_event(failure)), timeout
        )

    async def _close(self, text: bytes, timeout: float) -> None:
        pending, self.pending = self.pending, b""
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
            self.failure = self._cause(broken(fault))
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
