"""Actors that tests play with, and the stage that outlives their incarnations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import trio

from sluice.engine import (
    Actor,
    ChildSpec,
    Down,
    Event,
    Mailbox,
    Message,
    Ref,
    SupervisorSpec,
    System,
    handler,
    open_system,
)


class Refused(Exception):  # noqa: N818 -- the word of the test
    """What `Player.refuse` declares as a reply."""


class Say(Message[str], frozen=True):
    text: str


class Crash(Message[None], frozen=True):
    text: str = "boom"


class Nap(Message[str], frozen=True):
    seconds: float


class Refuse(Message[None], frozen=True):
    pass


class Pass(Message[str], frozen=True):
    """Ask the actor at each path of ``through`` in turn; the last one says ``text``."""

    through: tuple[str, ...]
    text: str
    first_nap: float = 0.0
    timeout: float = 60.0


class Tell(Message[str], frozen=True):
    """Tell the actor at ``path`` to say ``text``."""

    path: str
    text: str


class PassInTasks(Message[str], frozen=True):
    """The same, but from a task that the handler waits for."""

    path: str


class Spawn(Message[None], frozen=True):
    seconds: float
    crash: bool = False


class Watch(Message[None], frozen=True):
    path: str


class Unwatch(Message[None], frozen=True):
    path: str


class Leave(Message[None], frozen=True):
    pass


class Stranger(Message[int], frozen=True):
    """Nobody has a handler for it."""


Script = Callable[["Player"], Awaitable[None] | None]


class Stage:
    """What outlives incarnations: a journal of all that happened, and instructions."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.events: list[Event] = []
        self.failing_starts: dict[str, int] = {}
        """How many more starts of an actor fail."""
        self.start_takes: dict[str, float] = {}
        self.stop_takes: dict[str, float] = {}
        self.on_start: dict[str, Script] = {}
        self.state: dict[str, object] = {}
        self.system: System
        """The one that is open, where a test wants to know."""

    def take(self) -> list[str]:
        """The journal since the last call."""
        taken, self.journal[:] = list(self.journal), []
        return taken

    def kinds(self, path: str) -> list[str]:
        return [event.kind for event in self.events if event.path == path]

    def child(self, name: str, mailbox: Mailbox | None = None, **spec: Any) -> ChildSpec:
        cast = Player if mailbox is None else type("Boxed", (Player,), {"mailbox": mailbox})
        return ChildSpec(name, lambda: cast(self), **spec)

    def supervisor(self, *names: str, name: str = "root", **spec: Any) -> SupervisorSpec:
        return SupervisorSpec(name, [self.child(child) for child in names], **spec)

    def open(self, root: SupervisorSpec, **options: Any) -> Any:
        return open_system(root, on_event=self.events.append, chance=Random(1), **options)  # noqa: S311 -- jitter


class Player(Actor):
    """Does what it is told, and writes it into the stage's journal."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.said = 0

    def note(self, what: str) -> None:
        self.stage.journal.append(f"{self.context.path} {what}")

    async def on_start(self) -> None:
        path = self.context.path
        await trio.sleep(self.stage.start_takes.get(path, 0))
        if self.stage.failing_starts.get(path, 0) > 0:
            self.stage.failing_starts[path] -= 1
            raise OSError(f"{path} cannot start")
        if path in self.stage.on_start:
            done = self.stage.on_start[path](self)
            if done is not None:
                await done
        self.note("started")

    async def on_stop(self) -> None:
        self.note("stopping")
        await trio.sleep(self.stage.stop_takes.get(self.context.path, 0))
        self.note("stopped")

    def on_end(self) -> None:
        self.note("ended")

    def statistics(self) -> object:
        return self.stage.state.get(self.context.path, {"said": self.said})

    @handler
    def say(self, message: Say) -> str:
        self.said += 1
        self.note(f"said {message.text}")
        return f"{self.context.path}#{self.context.incarnation}: {message.text}"

    @handler
    def crash(self, message: Crash) -> None:
        raise RuntimeError(message.text)

    @handler
    async def nap(self, message: Nap) -> str:
        self.note("naps")
        await trio.sleep(message.seconds)
        self.note("woke")
        return "rested"

    @handler(raises=(Refused,))
    async def refuse(self, message: Refuse) -> None:
        raise Refused("no")

    @handler
    async def pass_on(self, message: Pass) -> str:
        await trio.sleep(message.first_nap)
        if not message.through:
            return message.text
        first, *rest = message.through
        following = Pass(tuple(rest), message.text, timeout=message.timeout)
        return await self.context.ref(first).ask(following, timeout=message.timeout)

    @handler
    async def tell(self, message: Tell) -> str:
        await self.context.ref(message.path).tell(Say(message.text))
        return "told"

    @handler
    async def pass_in_tasks(self, message: PassInTasks) -> str:
        ref = self.context.ref(message.path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            nursery.start_soon(_ask_to_say, ref)
        return "done"

    @handler
    def spawn(self, message: Spawn) -> None:
        self.context.spawn(self.background, message.seconds, message.crash, name="background")

    async def background(self, seconds: float, crash: bool) -> None:
        try:
            await trio.sleep(seconds)
            if crash:
                raise RuntimeError("boom in the background")
        finally:
            self.note("background over")

    @handler
    def watch(self, message: Watch) -> None:
        self.context.monitor(self.context.ref(message.path))

    @handler
    def unwatch(self, message: Unwatch) -> None:
        self.context.demonitor(self.context.ref(message.path))

    @handler
    def down(self, message: Down) -> None:
        self.note(f"saw {message.path}#{message.incarnation} {message.reason}")

    @handler
    def leave(self, message: Leave) -> None:
        self.context.stop()


async def _ask_to_say(ref: Ref) -> None:
    await ref.ask(Say("from a task"))
