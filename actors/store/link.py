"""One open connection to a server that answers in order, shared by all who ask.

What many tasks ask for in one turn of the event loop is sent in one piece; who asks has no
channel, no timer and no lock of its own. What comes alone is sent by who asks, which saves a lone
operation a turn of the event loop. One is alone if nothing else is under way, and if what was
answered last was alone too: so under load, operations are gathered.

The first operation that is not answered in time ends the link, and everybody on it hears of it at
once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, NoReturn

import hiredis
import trio

from .entry import Entry
from .errors import LinkFailed, StoreRefused, StoreUnavailable
from .operation import Script
from .plain_stream import PlainStream
from .replies import FULL, LET_BY, NOTHING, Reply, new_reader
from .together import MOST, Together

MOST_WAITING: Final = 10_000
"""Operations on their way at a time."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of operations that wait to be sent."""
PIECE: Final = 256 * 1024
"""Bytes of answers read at a time."""

Redirect = Callable[[Entry, Reply], bool]
"""Takes an entry that another node must answer; False: it is not taken."""


class Link:
    """An open connection. ``run`` it in a task; `submit` may be called while it runs.

    ``on_full`` is told each time that the server answers that it takes no writes.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        on_failed: Callable[[str], None],
        redirect: Redirect | None = None,
        on_full: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stream = stream
        self._on_failed = on_failed
        self._redirect = redirect
        self._on_full = on_full
        self._entries: deque[Entry] = deque()
        self._outbox: list[bytes | Entry] = []
        """Packed, or to be packed when it is sent, because others may still join it."""
        self._joined: Together | None = None
        """The last of those."""
        self._bytes = 0
        self._joining = 0
        """Operations that are in an entry which is another's."""
        self._plain = stream if isinstance(stream, PlainStream) else None
        """The stream, if it can be sent to without waiting."""
        self._is_alone = False
        """What was answered last was alone."""
        self._writer_waits: trio.Event | None = None
        self._looks = trio.CancelScope()
        self._looks_at = inf
        """When the oldest operation is looked at: the deadline of that."""
        self._failure: str | None = None
        self._scope = trio.CancelScope()

    def submit(self, entry: Entry, *, asking: bool = False) -> None:
        """Send ``entry``'s operation. Raises `StoreUnavailable` if that cannot be.

        ``asking``: it is for a node that is just being given the key (``ASKING``).
        """
        if self._failure is not None:
            raise StoreUnavailable(self._failure)
        if len(self._entries) + self._joining >= MOST_WAITING:
            raise _too_many()
        script = entry.op.together
        # In a cluster, where there are redirections, keys do not lie together.
        if script is not None and self._redirect is None and not entry.with_source:
            self._join(entry, script)
        else:
            self._append(entry, asking=asking)
        if self._writer_waits is not None and not (self._is_alone and self._sent_at_once()):
            self._writer_waits.set()
            self._writer_waits = None
        if entry.due < self._looks_at:
            self._looks_at = self._looks.deadline = entry.due

    def _join(self, entry: Entry, script: Script) -> None:
        """Send it with those of its kind that are sent in this turn."""
        joined = self._joined
        if joined is None or joined.script is not script or len(joined.members) >= MOST:
            joined = self._joined = Together(script)
            self._entries.append(joined)
            self._outbox.append(joined)
        else:
            self._joining += 1
        joined.add(entry)

    def _append(self, entry: Entry, *, asking: bool) -> None:
        """Send it as it is. Raises `StoreUnavailable` if too much waits to be sent."""
        packed = _packed(entry)
        if self._bytes + len(packed) > MOST_BYTES:
            raise _too_many()
        if asking:
            packed = hiredis.pack_command(("ASKING",)) + packed
            self._entries.append(_nobody(entry))
        self._entries.append(entry)
        self._outbox.append(packed)
        self._bytes += len(packed)

    def _sent_at_once(self) -> bool:
        """Send what waits now, if that is one operation; whether nothing is left to be sent."""
        if self._plain is None or len(self._entries) > 1:
            return False
        data = b"".join(self._taken())
        try:
            sent = self._plain.send_nowait(data)
        except OSError as problem:
            self.fail(told(problem))
            return True
        if sent == len(data):
            return True
        self._outbox.append(data[sent:])
        self._bytes = len(data) - sent
        return False

    def fail(self, reason: str) -> None:
        """Be of no more use: all who wait are told now, and `run` returns."""
        if self._failure is None:
            self._failure = reason
            self._scope.cancel()
            self._on_failed(reason)
            while self._entries:
                self._entries.popleft().fail(StoreUnavailable(reason))

    async def run(self) -> None:
        """Move bytes until the link fails. The stream is closed then; nobody waits any more.

        ``on_failed`` is told why, at once; not of a cancellation.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._guard, self._write)
                    nursery.start_soon(self._guard, self._watch)
                    await self._guard(self._read)
        finally:
            self._on_failed = _nobody_is_told
            self.fail("the connection to the store was closed")
            await trio.aclose_forcefully(self._stream)

    async def _guard(self, part: Callable[[], Awaitable[NoReturn]]) -> None:
        try:
            await part()
        except (LinkFailed, OSError, trio.BrokenResourceError, hiredis.ProtocolError) as problem:
            self.fail(told(problem))

    async def _write(self) -> NoReturn:
        while True:
            if not self._outbox:
                self._writer_waits = trio.Event()
                await self._writer_waits.wait()
            data = b"".join(self._taken())
            await self._stream.send_all(data)

    def _taken(self) -> list[bytes]:
        """All that waits to be sent. What comes now joins others."""
        outbox, self._outbox = self._outbox, []
        self._joined = None
        self._bytes = 0
        return [each if isinstance(each, bytes) else _packed(each) for each in outbox]

    async def _read(self) -> NoReturn:
        reader = new_reader()
        while True:
            data = await self._stream.receive_some(PIECE)
            if not data:
                raise LinkFailed("the store closed the connection")
            reader.feed(data)
            operations = 0
            while (reply := reader.gets()) is not NOTHING:
                operations += self._deliver(reply)
            self._is_alone = operations == 1

    async def _watch(self) -> NoReturn:
        """Look at those that wait whenever one could be due, and not once an operation."""
        while True:
            self._looks_at = self._soonest()
            self._looks = trio.CancelScope(deadline=self._looks_at)
            with self._looks:
                await trio.sleep_forever()
            # If it was us who were late, the answers are there already: first come they.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            if self._soonest() <= trio.current_time():
                raise LinkFailed("the store did not answer in time")

    def _soonest(self) -> float:
        return min((entry.due for entry in self._entries), default=inf)

    def _deliver(self, reply: object) -> int:
        """Give ``reply`` to who waits for it; how many operations it answers."""
        if not self._entries:
            raise LinkFailed("the store answered what nobody asked")
        entry = self._entries.popleft()
        operations = len(entry.members) if isinstance(entry, Together) else 1
        self._joining -= operations - 1
        if type(reply) is Reply:
            self._refused(entry, reply)
        else:
            entry.settle(reply)
        return operations

    def _refused(self, entry: Entry, reply: Reply) -> None:
        code = reply.code
        if code == "NOSCRIPT" and entry.op.source is not None and not entry.with_source:
            entry.with_source = True
            self._again(entry)
        elif self._redirect is not None and self._redirect(entry, reply):
            pass
        elif code in LET_BY:
            entry.fail(StoreUnavailable(f"the store answered {shorten(reply)}"))
            raise LinkFailed(f"the store answered {shorten(reply)}")
        else:
            entry.fail(StoreRefused(shorten(reply)))
            if code in FULL:
                self._on_full(shorten(reply))

    def _again(self, entry: Entry) -> None:
        try:
            self.submit(entry)
            if isinstance(entry, Together):
                self._joining += len(entry.members) - 1
        except StoreUnavailable as problem:
            entry.fail(problem)


def _packed(entry: Entry) -> bytes:
    """As it is sent."""
    if isinstance(entry, Together) and not entry.with_source:
        entry.op = entry.joined()
    return entry.op.packed_with_source() if entry.with_source else entry.op.packed()


def _too_many() -> StoreUnavailable:
    return StoreUnavailable("too many operations wait for the store")


def _nobody_is_told(_: str) -> None:
    """Who cancelled us knows."""


def _nobody(entry: Entry) -> Entry:
    """An entry whose answer is dropped."""
    return Entry(entry.op, entry.due)


def told(problem: BaseException) -> str:
    """Why a connection failed, for an operator: one line, no traceback."""
    cause = problem.__cause__ if isinstance(problem, trio.BrokenResourceError) else None
    if isinstance(problem, hiredis.ProtocolError):
        return "the store answered what is no Redis protocol"
    said = shorten(cause or problem)
    return said or type(problem).__name__


def shorten(words: object) -> str:
    """What a server said, at a length that a log line can bear."""
    text = str(words)
    return text if len(text) <= 200 else text[:200] + "..."
