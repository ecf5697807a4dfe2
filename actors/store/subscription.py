"""What others publish: a bounded stream of messages, and of gaps where some may be missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, NoReturn, TypeAlias

import hiredis
import msgspec
import trio

from .circuit import PROBES, Circuit
from .errors import LinkFailed
from .link import told
from .operation import command
from .replies import NOTHING, new_reader

BUFFER: Final = 1000
"""Messages that wait for their reader; of more, the oldest are dropped."""
QUIET: Final = 5.0
"""Seconds of silence after which the store is asked whether it is there, and has to say so."""


class Published(msgspec.Struct, frozen=True):
    """A message."""

    channel: str
    data: bytes


class Gap(msgspec.Struct, frozen=True):
    """Messages may be missing here: the connection was lost, or the reader was too slow."""

    reason: str


Item: TypeAlias = Published | Gap


class Subscription:
    """Iterate over it. After a loss it connects again by itself, for ever."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[trio.abc.Stream]],
        channels: Sequence[str],
        buffer: int,
    ) -> None:
        if not channels or buffer < 1:
            raise ValueError("a subscription has channels, and room for a message")
        self._dial = dial
        self._subscribe = command("SUBSCRIBE", *channels).packed()
        self._count = len(set(channels))
        self._items: deque[Item] = deque()
        self._buffer = buffer
        self._arrived = trio.Event()
        self._subscribed = trio.Event()

    async def ready(self) -> None:
        """Return when messages are received. What was published before is not in it."""
        await self._subscribed.wait()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Item:
        await trio.lowlevel.checkpoint()
        while not self._items:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._items.popleft()

    async def serve(self) -> NoReturn:
        """Receive, for ever; `StoreClient.subscribe` runs it."""
        circuit = Circuit(Random())  # noqa: S311 -- jitter, not cryptography
        while True:
            try:
                await self._receive(await self._dial(), circuit)
            except LinkFailed as problem:
                circuit.failed(trio.current_time(), str(problem))
                if self._subscribed.is_set():
                    self._subscribed = trio.Event()
                    self._put(Gap(str(problem)))
            await trio.sleep(max(circuit.delay(), PROBES.base))

    async def _receive(self, stream: trio.abc.Stream, circuit: Circuit) -> NoReturn:
        reader = new_reader()
        confirmed = 0
        try:
            await stream.send_all(self._subscribe)
            while True:
                reader.feed(await self._next(stream))
                while (reply := reader.gets()) is not NOTHING:
                    confirmed += self._take(reply)
                if confirmed == self._count and not self._subscribed.is_set():
                    circuit.recovered(trio.current_time())
                    self._subscribed.set()
        except (OSError, trio.BrokenResourceError, hiredis.ProtocolError) as problem:
            raise LinkFailed(told(problem)) from problem
        finally:
            await trio.aclose_forcefully(stream)

    async def _next(self, stream: trio.abc.Stream) -> bytes:
        for question in (command("PING").packed(), b""):
            with trio.move_on_after(QUIET):
                data = await stream.receive_some()
                if not data:
                    raise LinkFailed("the store closed the connection")
                return bytes(data)
            if question:
                await stream.send_all(question)
        raise LinkFailed("the store fell silent")

    def _take(self, reply: object) -> int:
        """Deliver a message; return 1 if ``reply`` confirms a channel, else 0."""
        match reply:
            case [b"message", bytes(channel), bytes(data)]:
                self._put(Published(channel.decode(errors="replace"), data))
            case [b"subscribe", *_]:
                return 1
            case [b"pong", *_]:
                pass
            case _:
                raise LinkFailed("the store answered what is no message")
        return 0

    def _put(self, item: Item) -> None:
        if len(self._items) >= self._buffer:
            while len(self._items) >= self._buffer:
                self._items.popleft()
            self._items.appendleft(Gap("the reader was too slow"))
        self._items.append(item)
        self._arrived.set()
