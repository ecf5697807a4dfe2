"""A link: one end of a stream of frames between two processes.

Promises. Frames go out in the order in which they were given, all that wait in one write, by one
task. A link ends, once and for good, when its peer closes it, is silent for ``patience`` seconds,
sends what is no frame, or too large a frame, or when a write is cut: half a frame cannot be taken
back. The end of the link is the peer's death: all who wait for it are told at once
(`ProcessGone`), and nothing is kept for another link. A message or a reply that cannot be read,
its type being unknown or one of its fields wrong, is refused to who sent or wants it, and counted.

What goes out is bounded: an ask and a ``tell_nowait`` that find ``backlog`` frames or
``backlog_bytes`` bytes waiting are refused (`MailboxFull`), a ``tell`` waits for room. Replies
are never refused; a peer that takes so little that they pass their own bound has its link ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from ._errors import FrameTooLarge, MailboxFull, MalformedReply, ProcessGone
from ._failure import describe, revive
from ._frame import (
    VERSION,
    Ask,
    Beat,
    Cancel,
    Failure,
    Frame,
    FrameError,
    FrameReader,
    Hello,
    Ready,
    Reply,
    Stop,
    Taken,
    Tell,
    Waits,
    pack,
    pack_ask,
    pack_reply,
    pack_tell,
    unpack,
)
from ._incoming import Desk
from ._latency import EVERY
from ._options import is_silent
from ._outbox import Outbox
from ._request import Request
from ._wire import wire_of

if TYPE_CHECKING:
    from ._links import Links


PEER_CLOSED: Final = "the peer closed it"
"""How the reason of a link begins that ended with its peer."""


class Link:
    """One end. ``process`` is the name that the peer must give."""

    def __init__(self, links: Links, stream: trio.abc.Stream, process: str) -> None:
        self.links = links
        self.process = process
        self.options = links.options
        links.add_peer(process)
        self.counts = links.counts_of(process)
        self.identity = f"{process}#?"
        """The peer, as distinct from another of its name."""
        self.opened = trio.Event()
        """The peer has said hello."""
        self.ready = trio.Event()
        """The peer has said that it can be asked."""
        self.stop_asked = trio.Event()
        self.stop_seconds = 0.0
        self.ended = trio.Event()
        self.reason = ""
        """Why it has ended."""
        self.last_heard = trio.current_time()
        self.pending: dict[int, Request] = {}
        self._number = 0
        self._stream = stream
        self._wire = wire_of(stream)
        self._scope = trio.CancelScope()
        self._desk = Desk(self)
        self._out = Outbox(self._wire, self.counts)

    def __repr__(self) -> str:
        state = f"ended: {self.reason}" if self.ended.is_set() else "up"
        return f"<Link {self.process!r} {state}>"

    # The life.

    async def run(self) -> None:
        """Be a link until it ends; ``reason`` then says why. Cancelling this ends it."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._desk.open(nursery)
                    self._out.push(pack(Hello(VERSION, self.links.process, os.getpid())))
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._beat)
                    await self._read()
        finally:
            self.end("it was closed here")
            await trio.aclose_forcefully(self._stream)

    def end(self, reason: str) -> None:
        """End it, and tell all who wait. Idempotent: the first reason stays."""
        if self.ended.is_set():
            return
        self.reason = reason
        self.ended.set()
        self.links.lost(self)
        self._desk.close()
        pending, self.pending = self.pending, {}
        for request in pending.values():
            request.fail(self.gone(request.addressee.path))
        self._out.close()
        self._scope.cancel()

    def gone(self, path: str) -> ProcessGone:
        """The error of who wanted something from its peer."""
        return ProcessGone(path, f"{path}: the link to {self.process} has ended: {self.reason}")

    async def flush(self, seconds: float) -> None:
        """Wait until all that was given is written; ``seconds`` at most, or its end."""
        await self._out.flush(seconds)

    async def _write(self) -> None:
        try:
            await self._out.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.end(PEER_CLOSED)

    async def _read(self) -> None:
        reader = FrameReader(self.options.max_frame)
        while not self.ended.is_set():
            data = await self._wire.read()
            if not data:
                self.end(PEER_CLOSED + (" in a frame" if reader.waiting else ""))
                return
            self.last_heard = trio.current_time()
            self.counts.reads += 1
            self.counts.bytes_received += len(data)
            try:
                bodies = reader.feed(data)
                self._out.is_alone = len(bodies) == 1
                for body in bodies:
                    self._handle(unpack(body))
            except Exception as fault:  # noqa: BLE001 -- whatever a frame sets off, the link pays
                self.end(f"the peer sent what is not allowed: {type(fault).__name__}: {fault}")

    async def _beat(self) -> None:
        """Give signs of life, and look for the peer's."""
        interval = self.options.interval
        looked = trio.current_time()
        while True:
            await trio.sleep(interval)
            now = trio.current_time()
            if is_silent(now, self.last_heard, looked, interval, self._patience()):
                self.end(f"the peer was silent for {now - self.last_heard:.3g} s")
                return
            looked = now
            if not self._out.has_sent:
                self._out.push(pack(Beat()))
            self._out.has_sent = False

    def _patience(self) -> float:
        return self.options.patience if self.opened.is_set() else self.options.greeting

    # Sending.

    def send(self, frame: Frame) -> None:
        """Send what is neither ask, tell nor reply."""
        if not self._out.closed:
            self._out.push(pack(frame))

    def ask(self, request: Request, path: str, chain: tuple[str, ...]) -> int:
        """Send an ask; its number. Raises `MailboxFull`, `FrameTooLarge`, `TypeError`."""
        if self._is_full():
            self._refuse(request.addressee.path)
        message = request.message
        number = self._number + 1
        kind, timeout = message.__class__.__name__, request.timeout
        data = pack_ask(number, path, kind, timeout if timeout > 0 else 0.0, chain, message)
        self._put(number, data, request)
        if not self.counts.asks % EVERY:
            request.began = trio.current_time()
        self.counts.asks += 1
        return number

    def tell(self, request: Request, path: str, chain: tuple[str, ...]) -> int:
        """Send a tell that is confirmed; its number. Raises as `ask`."""
        if self._is_full():
            self._refuse(request.addressee.path)
        message = request.message
        number = self._number + 1
        self._put(number, pack_tell(number, path, type(message).__name__, chain, message), request)
        return number

    def tell_nowait(self, address: str, path: str, message: Any) -> None:
        """Send a tell that is not. Raises as `ask`."""
        if self._out.is_full(self.options):
            self._refuse(address)
        kind = type(message).__name__
        data = pack_tell(0, path, kind, (), message)
        self._check_size(data, address, kind)
        self._out.push(data)

    def forget(self, number: int) -> None:
        """Nobody waits any more for this number; the peer is told, if it has not answered."""
        if self.pending.pop(number, None) is not None:
            self._out.changed()
            self.send(Cancel(number))

    def reply(self, number: int, path: str, message: Any, reply: object) -> None:
        """Answer the peer's ask; with a failure if that cannot be sent."""
        try:
            data = pack_reply(number, reply)
            if len(data) > self.options.max_frame:
                self._check_size(data, path, f"the reply to {type(message).__name__}")
        except (TypeError, ValueError, RecursionError, FrameTooLarge) as fault:
            self.fail(number, path, message, fault)
            return
        self._push_reply(data)

    def fail(self, number: int, path: str, message: object, error: Exception) -> None:
        """Answer the peer's ask, or tell, with ``error``."""
        if self._out.closed:
            return
        failure = describe(number, path, error, message)
        data = pack(failure)
        if len(data) > self.options.max_frame:
            short = Failure(number, failure.kind, path, failure.text[:200], failure.fault)
            data = pack(short)
        self._push_reply(data)

    async def room(self) -> None:
        """Wait until an ask or a tell would be sent; or its end."""
        while self._is_full() and not self._out.closed:
            await self._out.wait_change()

    def _is_full(self) -> bool:
        return len(self.pending) >= self.options.in_flight or self._out.is_full(self.options)

    def _refuse(self, path: str) -> None:
        self.counts.refused += 1
        raise MailboxFull(path, f"{path}: the link to {self.process} is full")

    def _check_size(self, data: bytes, path: str, what: str) -> None:
        limit = self.options.max_frame
        if len(data) > limit:
            text = f"{path}: {what} is a frame of {len(data)} bytes; allowed are {limit}"
            raise FrameTooLarge(path, text)

    def _put(self, number: int, data: bytes, request: Request) -> None:
        """Send ``data``, which ``number``, the next, names; ``request`` waits for its answer."""
        if len(data) > self.options.max_frame:
            self._check_size(data, request.addressee.path, type(request.message).__name__)
        self._number = number
        self.pending[number] = request
        self._out.push(data)

    def _push_reply(self, data: bytes) -> None:
        out, options = self._out, self.options
        if out.closed:
            return
        frames, size = options.backlog + options.in_flight, 8 * options.backlog_bytes
        if len(out.waiting) >= frames or out.size >= size:
            self.end(f"the peer does not read: {out.size} bytes wait for it")
            return
        out.push(data)

    # Receiving.

    def _handle(self, frame: Frame) -> None:
        """Do what ``frame`` says. What it raises ends the link."""
        if self._out.closed:
            return
        self.counts.frames_received += 1
        handle = HANDLERS.get(frame.__class__)
        if not self.opened.is_set():
            self._greet(frame)
        elif handle is None:
            raise FrameError("a second hello")
        else:
            handle(self, frame)

    def _greet(self, frame: Frame) -> None:
        if not isinstance(frame, Hello):
            raise FrameError("the first frame is no hello")
        if frame.version != VERSION:
            raise FrameError(f"version {frame.version} of the wire; this is {VERSION}")
        if frame.process != self.process:
            raise FrameError(f"it is {frame.process!r}, but should be {self.process!r}")
        self.identity = f"{frame.process}#{frame.pid}"
        self.opened.set()

    def _on_beat(self, _frame: Beat) -> None: ...

    def _on_ready(self, _frame: Ready) -> None:
        self.ready.set()

    def _on_stop(self, frame: Stop) -> None:
        if not frame.seconds >= 0:
            raise FrameError("a negative time to stop in")
        self.stop_seconds = frame.seconds
        self.stop_asked.set()

    def _on_ask(self, frame: Ask) -> None:
        self._desk.ask(frame)

    def _on_tell(self, frame: Tell) -> None:
        self._desk.tell(frame)

    def _on_cancel(self, frame: Cancel) -> None:
        self._desk.cancel(frame.number)

    def _on_waits(self, frame: Waits) -> None:
        self._desk.waits(frame)

    def _on_reply(self, frame: Reply) -> None:
        request = self._answered(frame.number)
        if request is None:
            return
        path, message = request.addressee.path, request.message
        try:
            reply = self.links.protocol.decode_reply(path, message, frame.body)
        except MalformedReply as fault:
            self.counts.unreadable += 1
            request.fail(fault)
        else:
            request.answer(reply)

    def _on_failure(self, frame: Failure) -> None:
        request = self._answered(frame.number)
        if request is not None:
            request.fail(revive(frame, self.process))

    def _on_taken(self, frame: Taken) -> None:
        request = self._answered(frame.number)
        if request is not None:
            request.answer(None)

    def _answered(self, number: int) -> Request | None:
        """Who waits for the answer of this number; None, and it is counted, if nobody does."""
        if not 0 < number <= self._number:
            raise FrameError("an answer to what was never asked")
        request = self.pending.pop(number, None)
        self._out.changed()
        if request is None or request.task is None:
            self.counts.late_replies += 1
            return None
        return request


HANDLERS: Final[dict[type, Callable[[Link, Any], None]]] = {
    Reply: Link._on_reply,  # noqa: SLF001 -- the table of its own class, made once
    Ask: Link._on_ask,  # noqa: SLF001
    Tell: Link._on_tell,  # noqa: SLF001
    Taken: Link._on_taken,  # noqa: SLF001
    Failure: Link._on_failure,  # noqa: SLF001
    Cancel: Link._on_cancel,  # noqa: SLF001
    Waits: Link._on_waits,  # noqa: SLF001
    Beat: Link._on_beat,  # noqa: SLF001
    Ready: Link._on_ready,  # noqa: SLF001
    Stop: Link._on_stop,  # noqa: SLF001
}
