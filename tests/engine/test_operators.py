"""What an operator may do to any actor, live."""

from __future__ import annotations

import pytest
import trio
from tests.engine.cast import Crash, Nap, Player, Say, Spawn, Stage
from tests.engine.test_ask import facts
from trio.testing import wait_all_tasks_blocked

from sluice.engine import Backoff, NotPossible, StartFailed, SupervisorSpec, System, UnknownPath


def tree(stage: Stage) -> SupervisorSpec:
    nested = stage.supervisor("x", "y", name="s")
    return SupervisorSpec("root", [stage.child("a"), nested, stage.child("b")])


async def test_a_command_returns_what_it_did() -> None:
    """An operator may inspect, pause, resume, restart and stop any actor, live.
    A command returns what it did, or raises an error that says why not.
    """
    stage = Stage()
    async with stage.open(tree(stage)) as system:
        done = await system.restart("a")
        assert (done.action, done.path, done.state, done.incarnation) == (
            "restarted",
            "a",
            "running",
            2,
        )
        assert done.detail == "was running"
        done = await system.pause("s/x")
        assert (done.action, done.state) == ("paused", "paused")
        done = await system.resume("s/x")
        assert (done.action, done.state, done.detail) == ("resumed", "running", "0 messages waited")
        done = await system.stop("b")
        assert (done.action, done.state, done.detail) == ("stopped", "stopped", "was running")
        done = await system.restart("b")
        assert (done.state, done.incarnation, done.detail) == ("running", 2, "was stopped")
        assert stage.kinds("s/x") == ["started", "paused", "resumed"]


async def give(system: System, command: str, path: str) -> None:
    result = getattr(system, command)(path)
    if command != "inspect":
        await result


@pytest.mark.parametrize(
    ("command", "path", "why"),
    [
        ("restart", "c", "there is nothing at 'c'; there are: a, b, s, s/x, s/y"),
        ("inspect", "s/z", "there is nothing at 's/z'"),
        ("pause", "s", "cannot pause a supervisor; below it are: s/x, s/y"),
        ("resume", "a", "a is running; only a paused actor can be resumed"),
        ("restart", "", "the root is stopped by ending the program"),
        ("stop", "", "the root is stopped by ending the program"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why(command: str, path: str, why: str) -> None:
    stage = Stage()
    async with stage.open(tree(stage)) as system:
        with pytest.raises((UnknownPath, NotPossible), match=why):
            await give(system, command, path)


async def test_what_is_stopped_cannot_be_stopped_paused_or_reached_through_its_parent() -> None:
    stage = Stage()
    async with stage.open(tree(stage)) as system:
        await system.stop("s")
        with pytest.raises(NotPossible, match="s is stopped already"):
            await system.stop("s")
        with pytest.raises(NotPossible, match="s/x is stopped; only a running actor"):
            await system.pause("s/x")
        with pytest.raises(NotPossible, match="s/x: its supervisor s is stopped"):
            await system.restart("s/x")


async def test_a_supervisor_is_stopped_and_restarted_with_all_below_it() -> None:
    stage = Stage()
    async with stage.open(tree(stage)) as system:
        stage.take()
        await system.stop("s")
        assert facts(system, "s/x").state == "stopped"
        await system.restart("s")
        lines = [line for line in stage.take() if line.split()[1] in ("stopped", "started")]
        assert lines == ["s/y stopped", "s/x stopped", "s/x started", "s/y started"]
        assert await system.ref("s/x").ask(Say("hi")) == "s/x#2: hi"


async def test_a_restart_takes_along_what_the_strategy_says() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b", "c", strategy="rest_for_one")) as system:
        done = await system.restart("b")
        assert done.detail == "was running; with it c"
        assert [facts(system, name).incarnation for name in "abc"] == [1, 2, 2]


async def test_an_operators_restart_does_not_count() -> None:
    """An operator's restart does not count."""
    stage = Stage()
    async with stage.open(stage.supervisor("a", intensity=0)) as system:
        for _ in range(10):
            await system.restart("a")
        assert facts(system, "a").incarnation == 11
        assert facts(system, "a").restarts == 0


async def test_while_paused_the_mailbox_fills_and_nothing_is_handled() -> None:
    """While paused, the mailbox fills and nothing is handled."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        await system.pause("a")
        for n in range(3):
            system.ref("a").tell_nowait(Say(str(n)))
        await trio.sleep(100)
        assert stage.journal == ["a started"]
        assert facts(system, "a").mailbox.waiting == 3
        assert (await system.resume("a")).detail == "3 messages waited"
        await wait_all_tasks_blocked()
        assert stage.journal[1:] == ["a said 0", "a said 1", "a said 2"]


async def test_one_message_that_waited_is_told_as_one() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        await system.pause("a")
        system.ref("a").tell_nowait(Say("hi"))
        assert (await system.resume("a")).detail == "1 message waited"


async def test_a_pause_lets_the_message_in_progress_end() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        system.ref("a").tell_nowait(Nap(2))
        system.ref("a").tell_nowait(Say("later"))
        await wait_all_tasks_blocked()
        assert (await system.pause("a")).detail == "Nap in progress is handled to its end"
        await trio.sleep(10)
        assert stage.journal[1:] == ["a naps", "a woke"]
        await system.resume("a")
        await wait_all_tasks_blocked()
        assert stage.journal[-1] == "a said later"


async def test_a_pause_and_a_resume_within_one_message_change_nothing() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        system.ref("a").tell_nowait(Nap(2))
        await wait_all_tasks_blocked()
        await system.pause("a")
        await system.resume("a")
        assert await system.ref("a").ask(Say("hi")) == "a#1: hi"


async def test_a_pause_outlives_a_restart() -> None:
    """A pause outlives a restart."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        await system.ref("a").ask(Spawn(1, crash=True))
        await system.pause("a")
        system.ref("a").tell_nowait(Say("kept"))
        await trio.sleep(2)
        assert (facts(system, "a").state, facts(system, "a").incarnation) == ("paused", 2)
        done = await system.restart("a")
        assert (done.state, done.incarnation) == ("paused", 3)
        assert "a said kept" not in stage.journal
        await system.resume("a")
        await wait_all_tasks_blocked()
        assert stage.journal[-1] == "a said kept"


async def test_an_operator_is_not_kept_waiting_by_a_backoff() -> None:
    """An operator is not kept waiting by a backoff."""
    stage = Stage()
    slow = Backoff(first=50, jitter=0)
    async with stage.open(stage.supervisor("a", backoff=slow)) as system:
        system.ref("a").tell_nowait(Crash())
        await trio.sleep(1)
        assert facts(system, "a").state == "waiting"
        began = trio.current_time()
        done = await system.restart("a")
        assert trio.current_time() == began
        assert (done.incarnation, done.detail) == (2, "had just been restarted")


async def test_two_operators_who_restart_the_same_actor_restart_it_once() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(system.restart, "a")
    assert facts(system, "a").incarnation == 2


async def test_a_command_that_was_begun_is_finished_even_if_the_operator_has_gone() -> None:
    """A command that was begun is finished, even if the operator has gone."""
    stage = Stage()
    stage.stop_takes["a"] = 3
    async with stage.open(stage.supervisor("a")) as system:
        with trio.move_on_after(1) as scope:
            await system.restart("a")
        assert scope.cancelled_caught
        assert facts(system, "a").state == "stopping"
        await trio.sleep(3)
        assert (facts(system, "a").state, facts(system, "a").incarnation) == ("running", 2)


async def test_a_restart_that_fails_is_told_and_tried_again() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        stage.failing_starts["a"] = 1
        with pytest.raises(StartFailed, match="a: OSError: a cannot start"):
            await system.restart("a")
        assert await system.ref("a").ask(Say("hi")) == "a#3: hi"
        assert facts(system, "a").restarts == 1


async def test_a_start_of_a_stopped_actor_that_fails_is_told_and_tried_again() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        await system.stop("a")
        stage.failing_starts["a"] = 1
        with pytest.raises(StartFailed):
            await system.restart("a")
        assert await system.ref("a").ask(Say("hi")) == "a#3: hi"


async def test_commands_that_wait_when_the_system_ends_are_refused() -> None:
    stage = Stage()
    stage.stop_takes["a"] = 3
    told: list[str] = []

    async def order() -> None:
        try:
            await systems[0].restart("a")
        except NotPossible as refused:
            told.append(str(refused))

    systems: list[System] = []
    async with trio.open_nursery() as nursery, stage.open(stage.supervisor("a")) as system:
        systems.append(system)
        nursery.start_soon(order)
        nursery.start_soon(order)
        await wait_all_tasks_blocked()
    assert told == ["its supervisor is stopping"] * 2


async def test_an_actor_may_give_commands_too() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:

        async def restart_b(player: Player) -> None:
            await system.restart("b")

        stage.on_start["a"] = restart_b
        await system.restart("a")
        assert await system.ref("b").ask(Say("hi")) == "b#2: hi"


async def test_inspecting_an_actor_tells_what_it_does() -> None:
    """Every actor, mailbox, supervisor and the system has a frozen snapshot."""
    stage = Stage()
    stage.state["a"] = {"slots": 3}
    async with stage.open(tree(stage)) as system:
        await system.ref("a").ask(Spawn(100))
        system.ref("a").tell_nowait(Nap(2))
        system.ref("a").tell_nowait(Say("later"))
        await trio.sleep(1)
        found = facts(system, "a")
        assert (found.kind, found.state, found.incarnation) == ("Player", "running", 1)
        assert (found.handled, found.handling, found.tasks) == (1, "Nap", ("background",))
        assert (found.mailbox.waiting, found.mailbox.accepted) == (1, 3)
        assert found.domain == {"slots": 3}
        assert found.uptime == pytest.approx(1)
        with pytest.raises(AttributeError):
            found.handled = 0  # type: ignore[misc]
        supervisor = system.inspect("s")
        assert supervisor.path == "s"
        whole = system.statistics()
        assert (whole.actors, whole.supervisors, whole.waiting) == (4, 2, 1)
        assert system.paths == ("a", "s/x", "s/y", "b")


async def test_statistics_that_raise_are_told_and_harm_nobody() -> None:
    stage = Stage()

    def doom(player: Player) -> None:
        def fail() -> object:
            raise RuntimeError("no figures")

        player.statistics = fail  # type: ignore[method-assign]

    stage.on_start["a"] = doom
    async with stage.open(stage.supervisor("a")) as system:
        assert facts(system, "a").domain == "statistics() raised RuntimeError: no figures"
