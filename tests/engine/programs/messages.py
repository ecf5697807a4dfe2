"""What the test and its child processes say to each other."""

from __future__ import annotations

import os
import time

import trio

from sluice.engine import Actor, Message, Protocol, handler


class Echo(Message[str], frozen=True):
    text: str


class Who(Message[int], frozen=True):
    """The id of the process."""


class Block(Message[None], frozen=True):
    """Block the event loop."""

    seconds: float


class Wait(Message[None], frozen=True):
    seconds: float


class Exit(Message[None], frozen=True):
    """End the process at once, with this code."""

    code: int


class Call(Message[str], frozen=True):
    """Ask the actor at ``path`` to echo."""

    path: str


PROTOCOL = Protocol([Echo, Who, Block, Wait, Exit, Call])


class Echoer(Actor):
    """Does what it is told."""

    @handler
    def echo(self, message: Echo) -> str:
        return message.text

    @handler
    def who(self, message: Who) -> int:
        return os.getpid()

    @handler
    def block(self, message: Block) -> None:
        end = time.monotonic() + message.seconds
        while time.monotonic() < end:
            pass

    @handler
    async def wait(self, message: Wait) -> None:
        await trio.sleep(message.seconds)

    @handler
    def exit(self, message: Exit) -> None:
        os._exit(message.code)

    @handler
    async def call(self, message: Call) -> str:
        return await self.context.ref(message.path).ask(Echo("called"))
