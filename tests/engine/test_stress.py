"""Bounded, seeded disorder: whatever happens to the actors, every ask ends and no mail is lost."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

import pytest
import trio
from trio._core import _run
from trio.testing import MockClock, wait_all_tasks_blocked

from sluice.engine import (
    Actor,
    ActorError,
    ActorStatistics,
    Backoff,
    ChildSpec,
    EngineError,
    Mailbox,
    Message,
    SupervisorSpec,
    System,
    handler,
    open_system,
)

PATHS = ["a", "s/b", "s/c", "s/t/d", "s/t/e"]
ASKS = 150


class Work(Message[int], frozen=True):
    number: int
    seconds: float = 0.0
    crash: bool = False
    onwards: str = ""


class Note(Message[None], frozen=True):
    number: int


class Refused(Exception):  # noqa: N818 -- the word of the test
    pass


class Worker(Actor):
    mailbox = Mailbox(20)

    def __init__(self, chance: Random) -> None:
        self.chance = chance

    async def on_start(self) -> None:
        await trio.sleep(self.chance.random() * 0.1)
        if self.chance.random() < 0.1:
            raise OSError("a bad start")

    async def on_stop(self) -> None:
        await trio.sleep(self.chance.random() * 0.2)

    @handler(raises=(Refused,))
    async def work(self, message: Work) -> int:
        await trio.sleep(message.seconds)
        if message.crash:
            raise RuntimeError("a bad message")
        if message.onwards:
            try:
                onward = Work(message.number)
                return await self.context.ref(message.onwards).ask(onward, timeout=2)
            except ActorError as error:
                raise Refused(str(error)) from error
        return message.number

    @handler
    def note(self, message: Note) -> None:
        return None


def tree(chance: Random) -> SupervisorSpec:
    def child(name: str) -> ChildSpec:
        return ChildSpec(name, partial(Worker, chance), shutdown=1)

    gentle = Backoff(base=0.05, healthy=1)
    inner = SupervisorSpec(
        "t", [child("d"), child("e")], strategy="one_for_all", intensity=5, backoff=gentle
    )
    middle = SupervisorSpec(
        "s", [child("b"), child("c"), inner], strategy="rest_for_one", intensity=20, backoff=gentle
    )
    return SupervisorSpec("root", [child("a"), middle], intensity=1000, backoff=gentle)


async def ask(system: System, chance: Random, number: int, ended: Counter[str]) -> None:
    await trio.sleep(chance.random() * 20)
    path, onwards = chance.choice(PATHS), chance.choice(["", "", *PATHS])
    work = Work(number, chance.random() * 0.3, chance.random() < 0.15, onwards)
    with trio.move_on_after(chance.choice([0.2, 60])) as scope:
        try:
            reply = await system.ref(path).ask(work, timeout=chance.choice([0.5, 5]))
        except (ActorError, Refused) as error:
            ended[type(error).__name__] += 1
        else:
            assert reply == number
            ended["reply"] += 1
    if scope.cancelled_caught:
        ended["cancelled"] += 1


async def tell(system: System, chance: Random, number: int) -> None:
    await trio.sleep(chance.random() * 20)
    with trio.move_on_after(chance.random()):
        await system.ref(chance.choice(PATHS)).tell(Note(number))


async def operate(system: System, chance: Random) -> None:
    for _ in range(40):
        await trio.sleep(chance.random() * 0.8)
        restart, resume = system.restart, system.resume
        command = chance.choice([*[restart] * 4, *[resume] * 3, system.stop, system.pause])
        path = chance.choice([*PATHS, "s", "s/t"])
        with trio.move_on_after(chance.choice([0.05, 60])):
            try:
                await command(path)
            except EngineError:
                continue


async def disorder(seed: int) -> Counter[str]:
    chance = Random(seed)  # noqa: S311 -- disorder
    ended: Counter[str] = Counter()
    for _ in range(20):
        try:
            async with open_system(tree(chance), chance=chance) as system:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(operate, system, chance)
                    for number in range(ASKS):
                        nursery.start_soon(ask, system, chance, number, ended)
                        nursery.start_soon(tell, system, chance, number)
                await restore(system)
                check_books(system)
        except EngineError:  # a bad first start
            assert not ended
        else:
            return ended
    raise AssertionError("twenty bad first starts")


async def restore(system: System) -> None:
    """Bring back what the operator stopped or paused; every actor then answers."""
    for path in ["s", "s/t", *PATHS]:
        for _ in range(20):
            state = system.inspect(path).state
            if state == "running":
                break
            try:
                await (system.resume if state == "paused" else system.restart)(path)
            except EngineError:
                await trio.sleep(1)
    await trio.sleep(60)  # virtual: the mail that is left is handled, crashes and all
    for path in PATHS:
        assert await system.ref(path).ask(Work(1), timeout=60) == 1
    await wait_all_tasks_blocked()


def check_books(system: System) -> None:
    """All mail that was accepted is accounted for."""
    for path in PATHS:
        found = system.inspect(path)
        assert isinstance(found, ActorStatistics)
        assert found.mailbox.waiting == 0
        assert found.handling is None


@pytest.mark.parametrize("seed", range(12))
def test_every_ask_ends_whatever_happens(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    monkeypatch.setattr(_run, "_r", Random(seed))  # noqa: S311 -- the order of trio's tasks
    ended = trio.run(disorder, seed, clock=MockClock(autojump_threshold=0))
    assert sum(ended.values()) == ASKS
    assert ended["reply"] > 0
