"""The shutdown ladder: ask, bounded wait, cancel."""

from __future__ import annotations

from math import inf

import pytest
import trio
from tests.engine.cast import Crash, Leave, Nap, Player, Say, Spawn, Stage
from trio.testing import wait_all_tasks_blocked

from sluice.engine import SupervisorSpec


async def test_a_child_is_asked_then_waited_for_then_cancelled() -> None:
    """A child is asked to stop, waited for, and then cancelled."""
    stage = Stage()
    stage.stop_takes["a"] = 100
    root = SupervisorSpec("root", [stage.child("a", shutdown=7)])
    async with stage.open(root):
        began = trio.current_time()
        stage.take()
    assert trio.current_time() - began == pytest.approx(7)
    assert stage.journal == ["a stopping", "a ended"]


async def test_the_message_in_progress_is_handled_to_its_end_first() -> None:
    """The message in progress is handled to its end first."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        system.ref("a").tell_nowait(Nap(3))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await system.restart("a")
        assert trio.current_time() - began == pytest.approx(3)
    assert stage.journal[1:6] == ["a naps", "a woke", "a stopping", "a stopped", "a ended"]


async def test_a_message_that_takes_too_long_is_cancelled() -> None:
    stage = Stage()
    root = SupervisorSpec("root", [stage.child("a", shutdown=2)])
    async with stage.open(root) as system:
        system.ref("a").tell_nowait(Nap(60))
        await wait_all_tasks_blocked()
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(2)
    assert stage.journal == ["a started", "a naps", "a ended"]


async def test_a_child_without_patience_is_cancelled_at_once() -> None:
    """A child whose shutdown is None is cancelled at once."""
    stage = Stage()
    root = SupervisorSpec("root", [stage.child("a", shutdown=None)])
    async with stage.open(root) as system:
        system.ref("a").tell_nowait(Nap(60))
        await wait_all_tasks_blocked()
        began = trio.current_time()
    assert trio.current_time() == began
    assert stage.journal == ["a started", "a naps", "a ended"]


async def test_a_child_may_take_as_long_as_it_needs() -> None:
    stage = Stage()
    stage.stop_takes["a"] = 1000
    root = SupervisorSpec("root", [stage.child("a", shutdown=inf)])
    async with stage.open(root):
        pass
    assert "a stopped" in stage.journal


async def test_background_tasks_end_with_their_incarnation() -> None:
    """A child that is cancelled is cancelled with all its background tasks.
    A background task belongs to its incarnation.
    """
    stage = Stage()
    stage.stop_takes["a"] = 100
    async with stage.open(stage.supervisor("a")) as system:
        await system.ref("a").ask(Spawn(1000))
        await system.restart("a")
        assert stage.journal[1:] == ["a stopping", "a background over", "a ended", "a started"]
        stage.stop_takes.clear()


async def test_background_tasks_still_run_while_the_actor_is_asked_to_stop() -> None:
    stage = Stage()
    stage.stop_takes["a"] = 3
    async with stage.open(stage.supervisor("a")) as system:
        await system.ref("a").ask(Spawn(2))
    assert stage.journal[1:] == ["a stopping", "a background over", "a stopped", "a ended"]


async def test_a_crashing_background_task_crashes_its_actor() -> None:
    """Its crash is the actor's crash."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        await system.ref("a").ask(Spawn(1, crash=True))
        await trio.sleep(2)
        assert await system.ref("a").ask(Say("hi")) == "a#2: hi"
        report = system.crash_reports[0]
        assert (report.phase, report.reason) == (
            "background",
            "RuntimeError: boom in the background",
        )
        assert report.message_type is None


async def test_a_supervisor_is_bounded_by_its_own_shutdown() -> None:
    stage = Stage()
    stage.stop_takes.update({"s/a": 100, "s/b": 100})
    nested = SupervisorSpec("s", [stage.child(name, shutdown=50) for name in "ab"], shutdown=10)
    async with stage.open(SupervisorSpec("root", [nested])):
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(10)
    assert sorted(stage.journal[-2:]) == ["s/a ended", "s/b ended"]


async def test_a_system_that_is_cancelled_from_outside_stops_in_order() -> None:
    """A system that is cancelled from outside still stops in order, within its grace."""
    stage = Stage()
    stage.stop_takes.update(a=1, b=1)
    with trio.move_on_after(5) as scope:
        async with stage.open(stage.supervisor("a", "b")):
            stage.take()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert stage.journal == [
        *["b stopping", "b stopped", "b ended"],
        *["a stopping", "a stopped", "a ended"],
    ]


async def test_the_grace_of_a_cancelled_system_is_bounded() -> None:
    stage = Stage()
    stage.stop_takes.update(a=100, b=100)
    root = SupervisorSpec("root", [stage.child(name, shutdown=50) for name in "ab"])
    began = trio.current_time()
    with trio.move_on_after(5):
        async with stage.open(root, grace=3):
            await trio.sleep_forever()
    assert trio.current_time() - began == pytest.approx(8)


async def test_a_system_that_is_cancelled_while_it_starts_stops_what_has_started() -> None:
    stage = Stage()
    stage.start_takes["b"] = 4
    with trio.move_on_after(2) as scope:
        async with stage.open(stage.supervisor("a", "b", "c")):
            raise AssertionError("not reached")
    assert scope.cancelled_caught
    assert stage.journal == ["a started", "b ended", "a stopping", "a stopped", "a ended"]


async def test_a_supervisor_that_is_stopped_while_it_starts_has_not_failed_to() -> None:
    stage = Stage()
    stage.start_takes["c/d"] = 60
    root = SupervisorSpec("root", [stage.child("a"), stage.supervisor("d", name="c")])
    with trio.move_on_after(1):
        async with stage.open(root):
            raise AssertionError("not reached")
    assert stage.kinds("c") == stage.kinds("") == ["stopped"]


async def test_a_system_that_is_left_while_a_child_waits_for_its_restart_stops_at_once() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        stage.failing_starts["a"] = 1
        system.ref("a").tell_nowait(Crash())
        await wait_all_tasks_blocked()
        began = trio.current_time()
    assert trio.current_time() == began


async def test_a_system_that_is_left_while_a_child_restarts_cancels_that_start() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        stage.start_takes["a"] = 4
        system.ref("a").tell_nowait(Crash())
        await wait_all_tasks_blocked()
        began = trio.current_time()
    assert trio.current_time() == began
    assert stage.kinds("a") == ["started", "crashed", "restarting", "stopped"]


async def test_a_fault_in_on_stop_is_reported_and_holds_up_nobody() -> None:
    stage = Stage()

    def doom(player: Player) -> None:
        async def fail() -> None:
            await trio.lowlevel.checkpoint()
            raise RuntimeError("cannot stop")

        player.on_stop = fail  # type: ignore[method-assign]

    stage.on_start["b"] = doom
    async with stage.open(stage.supervisor("a", "b")) as system:
        pass
    assert [report.phase for report in system.crash_reports] == ["stopping"]
    assert stage.kinds("b")[-2:] == ["crashed", "stopped"]
    assert "a stopped" in stage.journal


async def test_a_fault_in_on_end_is_reported_and_holds_up_nobody() -> None:
    stage = Stage()

    def doom(player: Player) -> None:
        def fail() -> None:
            raise RuntimeError("cannot let go")

        player.on_end = fail  # type: ignore[method-assign]

    stage.on_start["a"] = doom
    async with stage.open(stage.supervisor("a")) as system:
        await system.restart("a")
        assert await system.ref("a").ask(Say("hi")) == "a#2: hi"
        assert [report.phase for report in system.crash_reports] == ["ending"]


async def test_keyboard_interrupt_is_no_crash_of_an_actor() -> None:
    stage = Stage()

    def interrupt(player: Player) -> None:
        async def soon() -> None:
            await trio.sleep(1)
            raise KeyboardInterrupt

        player.context.spawn(soon)

    stage.on_start["a"] = interrupt
    with pytest.RaisesGroup(KeyboardInterrupt, allow_unwrapped=True, flatten_subgroups=True):
        await wait_in(stage)
    assert "crashed" not in stage.kinds("a")


async def wait_in(stage: Stage) -> None:
    async with stage.open(stage.supervisor("a")):
        await trio.sleep_forever()


async def test_a_system_in_a_hurry_cancels_what_has_not_stopped() -> None:
    stage = Stage()
    stage.stop_takes.update(a=100)
    root = SupervisorSpec("root", [stage.child("a", shutdown=50)])
    async with stage.open(root) as system:
        system.hurry(3)
        system.hurry(20)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(3)


async def test_a_supervisor_without_patience_is_cancelled_at_once_with_all_below_it() -> None:
    stage = Stage()
    nested = SupervisorSpec("s", [stage.child("a")], shutdown=None)
    async with stage.open(SupervisorSpec("root", [nested])) as system:
        system.ref("s/a").tell_nowait(Nap(60))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await system.stop("s")
        assert trio.current_time() == began
        assert stage.journal == ["s/a started", "s/a naps", "s/a ended"]


async def test_an_actor_that_leaves_on_its_own_has_the_same_bounds() -> None:
    stage = Stage()
    stage.stop_takes["a"] = 100
    root = SupervisorSpec("root", [stage.child("a", shutdown=3, restart="temporary")])
    async with stage.open(root) as system:
        system.ref("a").tell_nowait(Leave())
        await trio.sleep(4)
        assert system.inspect("a").state == "stopped"
        assert stage.kinds("a") == ["started", "left"]


async def test_an_actor_that_leaves_while_it_starts_is_started_again_if_permanent() -> None:
    stage = Stage()

    def leave_once(player: Player) -> None:
        if player.context.incarnation == 1:
            player.context.stop()
            player.context.stop()

    stage.on_start["a"] = leave_once
    async with stage.open(stage.supervisor("a")) as system:
        assert await system.ref("a").ask(Say("hi")) == "a#2: hi"


async def test_what_the_parts_show_of_themselves() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        assert repr(system._find("a")) == "<Cell 'a' running #1>"
        assert repr(system._find("")) == "<Supervisor '' running #1>"
