"""One operator's connection: commands in, answers and events out, all bounded.

What goes out is queued, and one task writes it. A client that does not read until the queue is
full is told so and cut off: an event is never left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from sluice.engine import EngineError, NotPossible, UnknownPath

from .controlled import Controlled
from .figures import Glance, figures_between
from .protocol import (
    Breaker,
    Command,
    Done,
    Drain,
    Error,
    Event,
    Events,
    Happened,
    Look,
    Outcome,
    Pause,
    Refused,
    Restart,
    Resume,
    SetLevel,
    SetLimit,
    Status,
    Stop,
    Tree,
    frame,
    read_command,
)

QUEUE: Final = 256
"""Frames that wait for a client to read."""
IN_FLIGHT: Final = 8
"""Commands of one client at a time; a person has one."""
WRITE_TIMEOUT: Final = 10.0
"""Seconds that a frame may take."""
PING_EVERY: Final = 20.0
"""Seconds; a client that is stopped, or half gone, must not keep its place."""
TOO_SLOW: Final = 1013
ENDED: Final = 1001
ENDED_SAYS: Final = "the service has ended"


class Budget:
    """How many commands run in all, over all clients, those included that have left."""

    def __init__(self, limit: int) -> None:
        self.left = limit


class Session:
    """One connection that was let in.

    Args:
        socket: the connection.
        controlled: what commands act on, once there is something.
        spawn: starts a task that outlives the connection: commands are carried out to their end.
        budget: what all sessions share.
    """

    def __init__(
        self,
        socket: WebSocketConnection,
        controlled: Callable[[], Controlled | None],
        spawn: Callable[..., None],
        budget: Budget,
    ) -> None:
        self._socket = socket
        self._controlled = controlled
        self._spawn = spawn
        self._budget = budget
        self._out, self._outgoing = trio.open_memory_channel[str](QUEUE)
        self._scope = trio.CancelScope()
        self._in_flight = 0
        self._glance: Glance | None = None
        self._unlisten: Callable[[], None] | None = None
        self.farewell: tuple[int, str] = (1000, "")

    async def run(self) -> None:
        """Serve until the client leaves or `end` is called. Then nothing of it is left."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._ping)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            if self._unlisten is not None:
                self._unlisten()
            self._out.close()
            self._outgoing.close()

    def end(self, code: int, reason: str) -> None:
        """Say good-bye, with a WebSocket close code and words."""
        if not self._scope.cancel_called:
            self.farewell = (code, reason)
            self._scope.cancel()

    async def _read(self) -> None:
        while True:
            try:
                text = await self._socket.get_message()
            except ConnectionClosed:
                return
            self._take(text)

    def _take(self, text: str | bytes) -> None:
        try:
            command = read_command(text)
        except Refused as refusal:
            self._send(Error(0, refusal.code, str(refusal)))
            return
        if self._in_flight >= IN_FLIGHT or self._budget.left <= 0:
            self._send(Error(command.id, "busy", self._busy()))
            return
        self._in_flight += 1
        self._budget.left -= 1
        self._spawn(self._answer, command)

    def _busy(self) -> str:
        if self._in_flight >= IN_FLIGHT:
            return f"{self._in_flight} commands of yours are under way; wait for their answers"
        return "the commands of all operators are as many as may be under way; try again"

    async def _answer(self, command: Command) -> None:
        try:
            self._send(await self._outcome(command))
        finally:
            self._in_flight -= 1
            self._budget.left += 1

    async def _outcome(self, command: Command) -> Done | Error:
        try:
            return Done(command.id, await self._obey(command))
        except Refused as refusal:
            return Error(command.id, refusal.code, str(refusal))
        except UnknownPath as problem:
            return Error(command.id, "unknown_path", str(problem))
        except NotPossible as problem:
            return Error(command.id, "not_possible", str(problem))
        except EngineError as problem:
            return Error(command.id, "failed", str(problem))

    async def _obey(self, command: Command) -> object:
        """The result of ``command``; what it raises becomes an `Error`."""
        controlled = self._controlled()
        if controlled is None:
            raise Refused("unavailable", "the service is still starting")
        if isinstance(command, Restart | Pause | Resume | Stop):
            return await act(controlled, command)
        if isinstance(command, Look):
            before, self._glance = self._glance, await controlled.glance()
            return figures_between(before, self._glance)
        if isinstance(command, Events):
            if self._unlisten is None and not self._scope.cancel_called:
                self._unlisten = controlled.listen(self._happened)
            return None
        return await answer(controlled, command)

    def _happened(self, event: Happened) -> None:
        self._send(Event(event))

    def _send(self, message: Done | Error | Event) -> None:
        try:
            self._out.send_nowait(frame(message))
        except trio.WouldBlock:
            self.end(TOO_SLOW, f"you read too slowly: {QUEUE} frames were waiting")
        except trio.ClosedResourceError:  # it has left; the command was carried out all the same
            pass

    async def _write(self) -> None:
        async for text in self._outgoing:
            with trio.move_on_after(WRITE_TIMEOUT) as patience:
                try:
                    await self._socket.send_message(text)
                except ConnectionClosed:
                    return
            if patience.cancelled_caught:
                self.end(TOO_SLOW, f"you did not read for {WRITE_TIMEOUT:g} seconds")

    async def _ping(self) -> None:
        while True:
            await trio.sleep(PING_EVERY)
            with trio.move_on_after(WRITE_TIMEOUT) as patience:
                try:
                    await self._socket.ping()
                except ConnectionClosed:
                    return
            if patience.cancelled_caught:
                self.end(TOO_SLOW, "you did not answer a ping")


async def act(controlled: Controlled, command: Restart | Pause | Resume | Stop) -> Outcome:
    """What ``command`` did to its actor."""
    match command:
        case Restart(path=path):
            return await controlled.restart(path)
        case Pause(path=path):
            return await controlled.pause(path)
        case Resume(path=path):
            return await controlled.resume(path)
        case Stop(path=path):
            return await controlled.stop(path)
        case _:
            assert_never(command)


async def answer(
    controlled: Controlled, command: Status | Tree | Drain | SetLevel | SetLimit | Breaker
) -> object:
    """The result of a command that is about the whole."""
    match command:
        case Status():
            return await controlled.status()
        case Tree():
            return await controlled.tree()
        case Drain():
            return controlled.drain()
        case SetLevel(level=level):
            return await controlled.log_level(level)
        case Breaker(name=name, order=order):
            return await controlled.breaker(name, order)
        case SetLimit(kind=kind, rate=rate):
            return await controlled.limit(kind, rate)
        case _:
            assert_never(command)
