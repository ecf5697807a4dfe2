"""One HTTP/1.1 connection to a provider, for one owner at a time: a task, or the pump.

The task calls `request`, `read_head` and `receive`; the pump registers `fd` and calls
`receive_nowait` whenever it is readable. Level-triggered polling sees everything, but for what
came with the head: call `receive_nowait` once before the descriptor is registered.
"""

from __future__ import annotations

import weakref

import trio

from sluice.actors.failures import UpstreamFault

from .response import ResponseHead, ResponseReader
from .wire import RECEIVE_SIZE, Wire


class UpstreamConnection:
    """A connection over ``wire``, which it owns. Faults are `UpstreamFault`: see there.

    `close` may be called at any time, from anywhere; whoever waits then, or reads later, gets
    `trio.ClosedResourceError`.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_dropped",
        "_fault",
        "_kept",
        "_reader",
        "_recv",
        "_wire",
        "requests",
    )

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._recv = wire.recv
        self._reader = ResponseReader()
        self._kept = False
        """`receive` has something to say before it reads: bytes of the head's, or a fault."""
        self._fault: UpstreamFault | None = None
        self._closed = False
        self._dropped = weakref.finalize(self, wire.abandon)
        """Closes it when it is lost with a message that nobody will read."""
        self.requests = 0
        """Requests sent so far."""

    def __repr__(self) -> str:
        state = "closed" if self._closed else "complete" if self.complete else "open"
        return f"<UpstreamConnection fd={self.fd} {state} requests={self.requests}>"

    @property
    def fd(self) -> int:
        """The descriptor to poll; -1 when closed."""
        return self._wire.fd

    @property
    def complete(self) -> bool:
        """Whether the body has ended as its framing says, and all of it was received."""
        return self._reader.complete and not self._kept

    @property
    def answered(self) -> bool:
        """Whether any byte came in answer to the last request."""
        return self._reader.used

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent on it, as far as the last response shows."""
        return self._reader.keep_alive and not self._closed

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def request(self, data: bytes, *, bodyless: bool = False) -> None:
        """Send one request's bytes; ``bodyless``: the response will have no body (HEAD).

        A provider that refuses early stops reading, answers and closes: what it said is in the
        socket, so a failed write is reported by `read_head` if nothing was.
        """
        self._reader.begin(bodyless=bodyless)
        self._kept = False
        self.requests += 1
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._wire.send(rest) :]
            except BlockingIOError:
                await self._wire.wait_writable()
            except OSError:
                return

    async def read_head(self) -> ResponseHead:
        """The head of the response; 1xx are skipped. Bounds: see `response`."""
        reader = self._reader
        while reader.head is None:
            data = await self._read()
            if data:
                reader.feed_head(data)
            else:
                reader.end_of_file()
        self._kept = True
        return reader.head

    def receive_nowait(self) -> bytes:
        """The body bytes that one read of the socket completed; empty: none, or `complete`.

        Raises `BlockingIOError` when the socket has nothing. Not to be called once `complete`.
        """
        if self._kept:
            return self._take_kept()
        try:
            data = self._recv(RECEIVE_SIZE)
            if data:
                return self._reader.feed(data)
            self._reader.end_of_file()
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost(error) from error
        except UpstreamFault as fault:
            return self._keep_fault(fault)
        return b""

    async def receive(self) -> bytes:
        """Like `receive_nowait`, but waits: empty only when `complete`. A checkpoint."""
        await trio.lowlevel.checkpoint()
        data = b""
        while not (data or self.complete):
            try:
                data = self.receive_nowait()
            except BlockingIOError:
                await self._wire.wait_readable()
        return data

    def is_stale(self) -> bool:
        """Whether it must not be used again: closed by the peer, or bytes came while it idled."""
        return self._closed or not self._wire.is_quiet()

    def close(self) -> None:
        """Close at once, whatever is under way: the provider sees it now. Idempotent."""
        if not self._closed:
            self._closed = True
            self._dropped.detach()
            self._wire.close()
            self._reader.close()

    async def _read(self) -> bytes:
        """Some bytes of a head. It waits before it looks: a provider takes its time to answer."""
        if self._closed:
            raise trio.ClosedResourceError
        if not self._wire.holds_bytes:
            await self._wire.wait_readable()
        while True:
            try:
                return self._recv(RECEIVE_SIZE)
            except BlockingIOError:
                await self._wire.wait_readable()
            except OSError as error:
                raise self._lost(error) from error

    def _lost(self, error: OSError) -> Exception:
        """What a failed read means."""
        return trio.ClosedResourceError() if self._closed else UpstreamFault("reset", str(error))

    def _take_kept(self) -> bytes:
        self._kept = False
        if self._fault is not None:
            raise self._fault
        body = self._reader.take()
        return body if body or self._reader.complete else self.receive_nowait()

    def _keep_fault(self, fault: UpstreamFault) -> bytes:
        """Bytes before a fault are delivered first; the descriptor stays readable for the fault."""
        body = self._reader.take()
        if not body:
            raise fault
        self._fault = fault
        self._kept = True
        self._wire.hang_up()
        return body
