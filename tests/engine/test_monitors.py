"""Monitors: to be told when an incarnation ends."""

from __future__ import annotations

import pytest
from tests.engine.cast import Crash, Leave, Nap, Say, Stage, Unwatch, Watch
from tests.engine.test_ask import facts
from trio.testing import wait_all_tasks_blocked

from sluice.engine import Actor, ChildSpec, Mailbox, StartFailed, SupervisorSpec


def seen(stage: Stage) -> list[str]:
    return [line.removeprefix("a saw ") for line in stage.journal if line.startswith("a saw")]


async def test_who_monitors_is_told_once_how_an_incarnation_ended() -> None:
    """Who monitors an actor is told once when its incarnation ends."""
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b", "c", "d")) as system:
        for path in "bcd":
            await system.ref("a").ask(Watch(path))
            await system.ref("a").ask(Watch(path))
        system.ref("b").tell_nowait(Crash())
        await wait_all_tasks_blocked()
        await system.restart("c")
        system.ref("d").tell_nowait(Leave())
        await wait_all_tasks_blocked()
        await system.restart("b")
        await wait_all_tasks_blocked()
        assert seen(stage) == ["b#1 crashed", "c#1 stopped", "d#1 left"]


async def test_who_monitors_an_actor_that_is_not_there_is_told_at_once() -> None:
    """Who monitors an actor that is not there is told at once."""
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        await system.stop("b")
        await system.ref("a").ask(Watch("b"))
        await wait_all_tasks_blocked()
        assert seen(stage) == ["b#1 absent"]


async def test_a_down_comes_before_other_mail_and_needs_no_room() -> None:
    """A `Down` needs no room and comes before other mail."""
    stage = Stage()
    root = SupervisorSpec("root", [stage.child("a", Mailbox(1)), stage.child("b")])
    async with stage.open(root) as system:
        await system.ref("a").ask(Watch("b"))
        system.ref("a").tell_nowait(Nap(1))
        await wait_all_tasks_blocked()
        system.ref("a").tell_nowait(Say("other mail"))
        await system.restart("b")
        await system.ref("a").tell(Say("last"))
        await wait_all_tasks_blocked()
        assert stage.journal[-3:] == ["a saw b#1 stopped", "a said other mail", "a said last"]


async def test_a_down_for_a_paused_actor_waits() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        await system.ref("a").ask(Watch("b"))
        await system.pause("a")
        await wait_all_tasks_blocked()
        await system.restart("b")
        await wait_all_tasks_blocked()
        assert seen(stage) == []
        await system.resume("a")
        await wait_all_tasks_blocked()
        assert seen(stage) == ["b#1 stopped"]


async def test_who_monitors_no_more_is_not_told() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        await system.ref("a").ask(Watch("b"))
        await system.ref("a").ask(Unwatch("b"))
        await system.ref("a").ask(Unwatch("b"))
        await system.restart("b")
        await wait_all_tasks_blocked()
        assert seen(stage) == []


async def test_a_monitor_ends_with_the_incarnation_that_began_it() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        await system.ref("a").ask(Watch("b"))
        await system.restart("a")
        await system.restart("b")
        await wait_all_tasks_blocked()
        assert seen(stage) == []


async def test_an_actor_gets_no_down_of_its_former_life() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b", strategy="one_for_all")) as system:
        await system.ref("a").ask(Watch("b"))
        await system.pause("a")
        await system.restart("a")
        await system.resume("a")
        await wait_all_tasks_blocked()
        assert seen(stage) == []
        assert facts(system, "a").mailbox.waiting == 0


async def test_who_monitors_without_a_handler_for_down_made_a_mistake() -> None:
    class Careless(Actor):
        async def on_start(self) -> None:
            self.context.monitor(self.context.ref("a"))

    stage = Stage()
    root = SupervisorSpec("root", [stage.child("a"), ChildSpec("b", Careless)])
    with pytest.raises(StartFailed, match="Careless has no handler for Down"):
        async with stage.open(root):
            raise AssertionError("not reached")
