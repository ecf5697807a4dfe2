"""Bounded mailboxes, and mail that is never handled."""

from __future__ import annotations

import pytest
import trio
from tests.engine.cast import Crash, Nap, Pass, Player, Say, Stage
from tests.engine.test_ask import facts
from trio.testing import wait_all_tasks_blocked

from sluice.engine import ActorCrashed, ActorStopped, Mailbox, MailboxFull, Message, SupervisorSpec


def boxed(stage: Stage, overflow: str, *others: str) -> SupervisorSpec:
    """A root with an actor ``a`` whose mailbox holds two messages."""
    box = Mailbox(2, overflow)  # type: ignore[arg-type]
    return SupervisorSpec("root", [stage.child("a", box), *map(stage.child, others)])


def said(stage: Stage) -> list[str]:
    return [line.removeprefix("a said ") for line in stage.journal if line.startswith("a said")]


async def test_a_full_mailbox_refuses_and_counts() -> None:
    """Mailboxes are bounded.
    Every overflow is counted.
    """
    stage = Stage()
    async with stage.open(boxed(stage, "refuse")) as system:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        ref.tell_nowait(Say("1"))
        ref.tell_nowait(Say("2"))
        with pytest.raises(MailboxFull, match="a: the mailbox is full"):
            ref.tell_nowait(Say("3"))
        with pytest.raises(MailboxFull):
            await ref.ask(Say("4"))
        box = facts(system, "a").mailbox
        assert (box.capacity, box.waiting, box.peak, box.refused, box.dropped) == (2, 2, 2, 2, 0)
        await trio.sleep(6)
    assert said(stage) == ["1", "2"]


async def test_a_tell_waits_for_room() -> None:
    stage = Stage()
    async with stage.open(boxed(stage, "refuse")) as system:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        for n in range(4):
            await ref.tell(Say(str(n)))
        assert trio.current_time() - began == pytest.approx(5)
        await wait_all_tasks_blocked()
        assert facts(system, "a").mailbox.waiting == 0
    assert said(stage) == ["0", "1", "2", "3"]


async def test_a_tell_that_is_cancelled_while_it_waits_is_not_delivered() -> None:
    stage = Stage()
    async with stage.open(boxed(stage, "refuse")) as system:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        await ref.tell(Say("1"))
        await ref.tell(Say("2"))
        with trio.move_on_after(1) as scope:
            await ref.tell(Say("3"))
        assert scope.cancelled_caught
        assert facts(system, "a").mailbox.accepted == 3
        await trio.sleep(6)
        assert await ref.ask(Say("4")) == "a#1: 4"
    assert said(stage) == ["1", "2", "4"]


async def test_a_tell_cancelled_at_the_moment_of_its_turn_harms_nobody() -> None:
    stage = Stage()
    async with stage.open(boxed(stage, "refuse")) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        for n in range(2):
            await ref.tell(Say(str(n)))
        nursery.start_soon(ref.tell, Say("cancelled"))
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert await ref.ask(Say("last")) == "a#1: last"
            assert facts(system, "a").mailbox.waiting == 0
    assert said(stage)[:2] == ["0", "1"]
    assert said(stage)[-1] == "last"


async def test_drop_newest_drops_what_comes() -> None:
    """What does not fit is refused, or dropped by declared policy."""
    stage = Stage()
    async with stage.open(boxed(stage, "drop_newest")) as system:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        for n in range(4):
            await ref.tell(Say(str(n)))
        with pytest.raises(MailboxFull):
            await ref.ask(Say("asked"))
        assert facts(system, "a").mailbox.dropped == 2
        assert facts(system, "a").mailbox.refused == 1
        await trio.sleep(6)
    assert said(stage) == ["0", "1"]


async def test_drop_oldest_drops_what_waited_longest_and_tells_its_asker() -> None:
    stage = Stage()
    refused: list[str] = []

    async def ask() -> None:
        try:
            await system.ref("a").ask(Say("asked"))
        except MailboxFull as full:
            refused.append(str(full))

    async with stage.open(boxed(stage, "drop_oldest")) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        for n in range(4):
            ref.tell_nowait(Say(str(n)))
        assert facts(system, "a").mailbox.dropped == 3
        await trio.sleep(6)
    assert said(stage) == ["2", "3"]
    assert len(refused) == 1
    assert "made room" in refused[0]
    assert [letter.message for letter in system.dead_letters] == [
        {"type": "Say", "text": "0"},
        {"type": "Say", "text": "1"},
    ]


async def test_waiting_for_room_in_a_circle_is_an_error() -> None:
    stage = Stage()

    async with stage.open(boxed(stage, "refuse")) as system:
        ref = system.ref("a")

        async def tell_oneself(player: Player) -> None:
            for n in range(3):
                await ref.tell(Say(str(n)))

        stage.on_start["a"] = tell_oneself
        began = trio.current_time()
        done: list[str] = []
        try:
            await system.restart("a")
        except Exception as failed:  # noqa: BLE001 -- whatever it is, it must name the circle
            done.append(str(failed))
        assert trio.current_time() == began
        assert "wait for itself: a -> a" in done[0]
        del stage.on_start["a"]


async def test_the_mailbox_belongs_to_the_supervisor() -> None:
    """An address outlives the actor behind it.
    The mailbox belongs to the supervisor: mail that waits during a restart is delivered after it.
    """
    stage = Stage()
    stage.start_takes["a"] = 0.5
    async with stage.open(stage.supervisor("a")) as system:
        ref = system.ref("a")
        answers: list[str] = []

        async def ask(text: str) -> None:
            answers.append(await ref.ask(Say(text)))

        async with trio.open_nursery() as nursery:
            ref.tell_nowait(Crash())
            for n in range(3):
                nursery.start_soon(ask, str(n))
        assert sorted(answers) == ["a#2: 0", "a#2: 1", "a#2: 2"]


async def test_mail_handed_to_an_actor_that_is_just_being_stopped_is_not_lost() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system, trio.open_nursery() as nursery:
        nursery.start_soon(system.restart, "a")
        nursery.start_soon(system.restart, "a")
        await trio.lowlevel.checkpoint()
        system.ref("a").tell_nowait(Say("handed over"))
        await wait_all_tasks_blocked()
    assert said(stage) == ["handed over"]


async def test_mail_of_an_actor_that_is_stopped_for_good_becomes_dead_letters() -> None:
    """Mail of an actor that is stopped for good becomes dead letters, and its askers are told.
    Dead letters are counted, and the last few can be inspected.
    """
    stage = Stage()
    told: list[str] = []

    async def ask() -> None:
        try:
            await system.ref("a").ask(Say("asked"))
        except ActorStopped as stopped:
            told.append(str(stopped))

    async def tell(message: Message[str]) -> None:
        await system.ref("a").tell(message)

    async with stage.open(boxed(stage, "refuse")) as system, trio.open_nursery() as nursery:
        await system.pause("a")
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        for n in range(3):
            nursery.start_soon(tell, Say(str(n)))
        await wait_all_tasks_blocked()
        await system.stop("a")
        system.ref("a").tell_nowait(Say("too late"))
        await wait_all_tasks_blocked()
        assert facts(system, "a").dead_letters == 4
        assert system.statistics().dead_letters == 4
        assert [letter.reason for letter in system.dead_letters] == [
            *["the actor was stopped before its turn came"] * 3,
            "the actor is stopped",
        ]
    assert told == ["a: the actor was stopped before its turn came"]
    assert said(stage) == []


async def test_only_the_last_dead_letters_are_kept() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        await system.stop("a")
        for n in range(100):
            system.ref("a").tell_nowait(Say(str(n)))
        assert system.statistics().dead_letters == 100
        assert len(system.dead_letters) == 64
        assert system.dead_letters[-1].message == {"type": "Say", "text": "99"}


async def test_mail_before_the_first_start_is_kept() -> None:
    stage = Stage()

    async def tell_later_one(player: Player) -> None:
        for n in range(3):
            await system_ref[0].tell(Say(str(n)))

    system_ref = []

    async def remember(player: Player) -> None:
        system_ref.append(player.context.ref("a"))
        await tell_later_one(player)

    stage.on_start["first"] = remember
    root = SupervisorSpec("root", [stage.child("first"), stage.child("a", Mailbox(10))])
    async with stage.open(root):
        await wait_all_tasks_blocked()
    assert said(stage) == ["0", "1", "2"]


async def test_many_messages_do_not_hold_up_other_tasks() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        for n in range(1000):
            system.ref("a").tell_nowait(Say(str(n)))
        turns = 0
        while len(said(stage)) < 1000:
            await trio.lowlevel.checkpoint()
            turns += 1
        assert turns > 10


async def test_a_pass_through_a_full_mailbox_fails_at_once() -> None:
    stage = Stage()
    async with stage.open(boxed(stage, "refuse", "b")) as system:
        system.ref("a").tell_nowait(Nap(60))
        await wait_all_tasks_blocked()
        for n in range(2):
            system.ref("a").tell_nowait(Say(str(n)))
        with pytest.raises(ActorCrashed, match="MailboxFull"):
            await system.ref("b").ask(Pass(("a",), "hi"))


async def test_an_actor_that_waits_for_room_handles_nothing_else_and_goes_on() -> None:
    stage = Stage()
    told: list[float] = []

    async def tell(player: Player) -> None:
        for n in range(3):
            await player.context.ref("a").tell(Say(str(n)))
            told.append(trio.current_time() - began)

    async with stage.open(boxed(stage, "refuse", "b")) as system:
        system.ref("a").tell_nowait(Nap(2))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        stage.on_start["b"] = tell
        await system.restart("b")
        assert told == pytest.approx([0, 0, 2])
        assert facts(system, "b").state == "running"


async def test_mail_in_the_hand_of_a_paused_actor_is_not_lost() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        system.ref("a").tell_nowait(Say("first"))  # handed to the parked task, which has not run
        await system.pause("a")
        await wait_all_tasks_blocked()
        assert facts(system, "a").mailbox.waiting == 1
        await system.stop("a")
        assert [letter.message["text"] for letter in system.dead_letters] == ["first"]
        assert said(stage) == []


async def test_mail_in_the_hand_of_a_paused_actor_comes_first_when_it_resumes() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        system.ref("a").tell_nowait(Say("first"))
        await system.pause("a")
        await wait_all_tasks_blocked()
        system.ref("a").tell_nowait(Say("second"))
        await system.resume("a")
        await wait_all_tasks_blocked()
    assert said(stage) == ["first", "second"]


async def test_a_sender_that_is_cancelled_in_the_turn_in_which_there_is_room_harms_nobody() -> None:
    stage = Stage()
    async with stage.open(boxed(stage, "refuse")) as system, trio.open_nursery() as nursery:
        ref = system.ref("a")
        leave = trio.Event()

        async def wake_and_cancel(player: Player) -> None:
            await leave.wait()
            nursery.cancel_scope.cancel()

        stage.on_start["a"] = wake_and_cancel
        system.ref("a").tell_nowait(Say("0"))
        await wait_all_tasks_blocked()
        with trio.CancelScope(shield=True):
            nursery.start_soon(system.restart, "a")
            await wait_all_tasks_blocked()
            for n in (1, 2):
                ref.tell_nowait(Say(str(n)))
            nursery.start_soon(ref.tell, Say("cancelled"))
            await wait_all_tasks_blocked()
            leave.set()
            await wait_all_tasks_blocked()
            assert facts(system, "a").mailbox.waiting == 0
            assert await ref.ask(Say("last")) == "a#2: last"
    assert said(stage) == ["0", "1", "2", "last"]


async def test_a_smaller_mailbox_than_the_mail_that_waits_drops_the_rest() -> None:
    stage = Stage()

    def tell(player: Player) -> None:
        for n in range(4):
            player.context.ref("a").tell_nowait(Say(str(n)))

    stage.on_start["first"] = tell
    root = SupervisorSpec("root", [stage.child("first"), stage.child("a", Mailbox(2))])
    async with stage.open(root) as system:
        await wait_all_tasks_blocked()
        assert facts(system, "a").dead_letters == 2
    assert said(stage) == ["0", "1"]
