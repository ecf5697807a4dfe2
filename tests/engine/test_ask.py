"""Asking and telling."""

from __future__ import annotations

from functools import partial
from math import inf

import pytest
import trio
from tests.engine.cast import (
    Crash,
    Nap,
    Pass,
    PassInTasks,
    Player,
    Refuse,
    Refused,
    Say,
    Stage,
    Stranger,
)
from trio.testing import wait_all_tasks_blocked

from sluice.engine import (
    ActorCrashed,
    ActorStatistics,
    ActorStopped,
    AskCycle,
    AskTimeout,
    Message,
    StartFailed,
    System,
    UnknownMessage,
    UnknownPath,
)


def facts(system: System, path: str) -> ActorStatistics:
    found = system.inspect(path)
    assert isinstance(found, ActorStatistics)
    return found


async def test_an_ask_returns_the_handlers_reply() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        assert await system.ref("a").ask(Say("hello")) == "a#1: hello"
        assert await system.ref("a").ask(Nap(1)) == "rested"


async def test_messages_are_handled_one_at_a_time_in_their_order() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        ref = system.ref("a")
        ref.tell_nowait(Nap(1))
        for n in range(3):
            ref.tell_nowait(Say(str(n)))
        await ref.ask(Say("last"))
    assert stage.journal[1:7] == [
        "a naps",
        "a woke",
        "a said 0",
        "a said 1",
        "a said 2",
        "a said last",
    ]


async def test_an_ask_ends_at_its_deadline_and_not_before() -> None:
    """An ask has a deadline."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        began = trio.current_time()
        with pytest.raises(AskTimeout, match="a: no reply to Nap within 2 s"):
            await system.ref("a").ask(Nap(60), timeout=2)
        assert trio.current_time() - began == pytest.approx(2)
        assert facts(system, "a").timeouts == 1


async def test_the_timer_serves_the_earliest_deadline_first() -> None:
    stage = Stage()
    ended: list[float] = []

    async def ask(timeout: float) -> None:
        with pytest.raises(AskTimeout):
            await system.ref("a").ask(Nap(60), timeout=timeout)
        ended.append(trio.current_time() - began)

    async with stage.open(stage.supervisor("a")) as system, trio.open_nursery() as nursery:
        began = trio.current_time()
        for timeout in (3, 1, 2, 0):
            nursery.start_soon(ask, timeout)
    assert ended == pytest.approx([0, 1, 2, 3])


async def test_an_ask_without_a_deadline_waits_as_long_as_it_takes() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        assert await system.ref("a").ask(Nap(1e6), timeout=inf) == "rested"


async def test_the_timer_forgets_asks_that_are_over() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        for _ in range(5000):
            await system.ref("a").ask(Say(""))
        assert system.statistics().pending_deadlines <= 1025


async def test_the_timer_forgets_them_although_an_earlier_deadline_is_open() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system, trio.open_nursery() as nursery:
        nursery.start_soon(partial(system.ref("b").ask, Nap(1), timeout=2))
        await wait_all_tasks_blocked()
        for _ in range(2000):
            await system.ref("a").ask(Say(""))
        assert 1 <= system.statistics().pending_deadlines <= 1025


async def test_a_late_reply_is_dropped_and_counted() -> None:
    """A late reply is dropped and counted."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        ref = system.ref("a")
        with pytest.raises(AskTimeout):
            await ref.ask(Nap(3), timeout=1)
        assert await ref.ask(Say("next")) == "a#1: next"
        assert facts(system, "a").late_replies == 1


async def test_a_message_whose_asker_has_gone_is_not_handled() -> None:
    """A message whose asker has gone before its turn is not handled."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        ref = system.ref("a")
        ref.tell_nowait(Nap(5))
        with pytest.raises(AskTimeout):
            await ref.ask(Say("never"), timeout=1)
        with trio.move_on_after(1):
            await ref.ask(Say("nor this"))
        await ref.ask(Say("but this"))
        assert facts(system, "a").abandoned == 2
    assert [line for line in stage.journal if "said" in line] == ["a said but this"]


async def test_asking_an_actor_that_is_not_there_fails_at_once() -> None:
    """Asking an actor that is stopped, or was never started, fails at once."""
    stage = Stage()

    async def ask_later_one(player: Player) -> None:
        began = trio.current_time()
        with pytest.raises(ActorStopped):
            await player.context.ref("b").ask(Say("hello"))
        assert trio.current_time() == began

    stage.on_start["a"] = ask_later_one
    async with stage.open(stage.supervisor("a", "b")) as system:
        await system.stop("b")
        began = trio.current_time()
        with pytest.raises(ActorStopped, match="b: is stopped"):
            await system.ref("b").ask(Say("hello"))
        assert trio.current_time() == began


async def test_asking_while_starting_what_is_started_afterwards_fails_at_once() -> None:
    """Asking, while starting, an actor that is started afterwards fails at once."""
    stage = Stage()
    seen: list[str] = []

    async def ask_later_one(player: Player) -> None:
        began = trio.current_time()
        try:
            await player.context.ref("b").ask(Say("hello"))
        except ActorStopped as stopped:
            seen.append(str(stopped))
        assert trio.current_time() == began

    stage.on_start["a"] = ask_later_one
    async with stage.open(stage.supervisor("a", "b", strategy="one_for_all")) as system:
        system.ref("b").tell_nowait(Crash())
        await wait_all_tasks_blocked()
    assert seen == ["b: is started after a"] * 2


async def test_the_asker_whose_message_crashed_the_actor_is_told_at_once() -> None:
    """The asker whose message crashed the actor is told at once."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        began = trio.current_time()
        with pytest.raises(ActorCrashed, match="a: crashed on Crash: RuntimeError: ouch") as caught:
            await system.ref("a").ask(Crash("ouch"))
        assert trio.current_time() == began
        assert caught.value.report is system.crash_reports[-1]
        assert await system.ref("a").ask(Say("again")) == "a#2: again"


async def test_a_message_without_a_handler_is_refused_to_its_sender() -> None:
    """A message without a handler is refused to its sender and crashes nobody."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        with pytest.raises(UnknownMessage, match="Player has no handler for Stranger"):
            await system.ref("a").ask(Stranger())
        await system.ref("a").tell(Stranger())
        assert await system.ref("a").ask(Say("well")) == "a#1: well"
        assert facts(system, "a").unknown == 2
        assert [letter.message_type for letter in system.dead_letters] == ["Stranger"]


async def test_a_declared_exception_is_a_reply() -> None:
    """An exception that the handler declares goes to the asker and crashes nobody."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        with pytest.raises(Refused, match="no"):
            await system.ref("a").ask(Refuse())
        system.ref("a").tell_nowait(Refuse())
        assert await system.ref("a").ask(Say("well")) == "a#1: well"
        assert facts(system, "a").declared_errors == 2
        assert facts(system, "a").crashes == 0


async def test_asking_oneself_is_an_error() -> None:
    """Asking oneself is an error and not a hang."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        with pytest.raises(ActorCrashed, match="wait for itself: a -> a"):
            await system.ref("a").ask(Pass(("a",), "hi"), timeout=inf)


async def test_asking_in_a_circle_is_an_error() -> None:
    """Asking in a circle is an error and not a hang, also when two handlers ask each other at
    the same time.
    """
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b", "c")) as system:
        with pytest.raises(ActorCrashed):
            await system.ref("a").ask(Pass(("b", "c", "a"), "hi", timeout=inf), timeout=inf)
        await system.ref("a").ask(Say("up"))
        assert "wait for itself: c -> a -> b -> c" in system.crash_reports[0].reason


async def test_two_handlers_that_ask_each_other_are_found_out() -> None:
    stage = Stage()
    outcomes: list[str] = []

    async def ask(path: str, through: str, nap: float) -> None:
        try:
            await system.ref(path).ask(Pass((through,), "hi", nap, timeout=inf), timeout=inf)
        except ActorCrashed:
            outcomes.append(f"{path} crashed")
        else:
            outcomes.append(f"{path} answered")

    async with stage.open(stage.supervisor("a", "b")) as system, trio.open_nursery() as nursery:
        nursery.start_soon(ask, "a", "b", 1)
        nursery.start_soon(ask, "b", "a", 2)
    assert sorted(outcomes) == ["a answered", "b crashed"]
    assert [AskCycle.__name__ in report.reason for report in system.crash_reports] == [True]


async def test_a_circle_through_a_task_of_the_handler_is_found_too() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        with pytest.raises(ActorCrashed, match="a -> a"):
            await system.ref("a").ask(PassInTasks("a"), timeout=inf)


async def test_a_background_task_may_ask_its_own_actor() -> None:
    stage = Stage()
    answers: list[str] = []

    def ask_own_actor(player: Player) -> None:
        async def later() -> None:
            answers.append(await player.context.ref("a").ask(Say("hi")))

        player.context.spawn(later)

    stage.on_start["a"] = ask_own_actor
    async with stage.open(stage.supervisor("a")):
        await wait_all_tasks_blocked()
    assert answers == ["a#1: hi"]


async def test_a_task_that_a_handler_started_elsewhere_may_ask_that_actor() -> None:
    stage = Stage()
    answers: list[str] = []
    async with trio.open_nursery() as nursery:

        def start_elsewhere(player: Player) -> None:
            async def later() -> None:
                answers.append(await player.context.ref("a").ask(Say("hi")))

            nursery.start_soon(later)

        stage.on_start["a"] = start_elsewhere
        async with stage.open(stage.supervisor("a")):
            await wait_all_tasks_blocked()
    assert answers == ["a#1: hi"]


async def test_a_circle_that_has_opened_again_is_none() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        assert await system.ref("a").ask(Pass(("b",), "one")) == "one"
        assert await system.ref("b").ask(Pass(("a",), "two")) == "two"
        with pytest.raises(ActorCrashed):
            await system.ref("a").ask(Pass(("b",), "three", timeout=0))
        assert await system.ref("b").ask(Pass(("a",), "four")) == "four"


async def test_an_unknown_path_names_what_exists() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        with pytest.raises(UnknownPath, match="'c' does not exist; actors are: a, b"):
            system.ref("c")
        with pytest.raises(UnknownPath, match="is a supervisor, not an actor"):
            system.ref("")


async def test_a_reference_shows_where_it_leads() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        assert repr(system.ref("a")) == "<LocalRef 'a'>"
        assert system.ref("a").path == "a"


async def test_an_asker_that_is_cancelled_stops_waiting() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        with trio.move_on_after(1) as scope:
            await system.ref("a").ask(Nap(60), timeout=inf)
        assert scope.cancelled_caught
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await system.ref("b").ask(Say("never"))
        assert await system.ref("b").ask(Say("well")) == "b#1: well"
        assert facts(system, "b").abandoned == 1


async def test_an_actor_cancelled_in_an_ask_waits_for_nobody() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        with trio.move_on_after(1):
            await system.ref("a").ask(Pass(("b",), "hi", 0.5), timeout=inf)
        await system.restart("a")
        assert await system.ref("b").ask(Pass(("a",), "hi")) == "hi"


async def test_a_start_that_asks_and_fails_says_so() -> None:
    stage = Stage()

    async def ask(player: Player) -> None:
        await player.context.ref("b").ask(Say("hello"))

    stage.on_start["a"] = ask
    with pytest.raises(StartFailed, match="a: ActorStopped: b: is started after a"):
        async with stage.open(stage.supervisor("a", "b")):
            raise AssertionError("not reached")


async def test_a_tell_returns_when_the_message_is_in_the_mailbox() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        message: Message[str] = Say("told")
        await system.ref("a").tell(message)
        await wait_all_tasks_blocked()
    assert "a said told" in stage.journal
