"""Order, strategies, intensity and backoff."""

from __future__ import annotations

import pytest
import trio
from tests.engine.cast import Crash, Leave, Nap, Player, Say, Stage
from tests.engine.test_ask import facts
from trio.testing import wait_all_tasks_blocked

from sluice.engine import (
    ActorCrashed,
    ActorStopped,
    Backoff,
    ChildSpec,
    StartFailed,
    StartTimeout,
    SupervisorGaveUp,
    SupervisorSpec,
    SupervisorStatistics,
)

STEADY = Backoff(base=1, factor=2, jitter=0, healthy=100)


def only(lines: list[str], *words: str) -> list[str]:
    return [line for line in lines if line.split()[1] in words]


async def crash_in(
    stage: Stage, root: SupervisorSpec, *, times: int, failing_starts: int = 0
) -> None:
    """Open ``root``, crash ``a`` so many times, and wait for ever."""
    async with stage.open(root) as system:
        stage.failing_starts["a"] = failing_starts
        for _ in range(times):
            system.ref("a").tell_nowait(Crash())
        await trio.sleep_forever()


async def test_children_start_from_left_to_right_and_stop_from_right_to_left() -> None:
    """Children start from left to right.
    Children stop from right to left.
    """
    stage = Stage()
    nested = stage.supervisor("b1", "b2", name="b")
    root = SupervisorSpec("root", [stage.child("a"), nested, stage.child("c")])
    async with stage.open(root):
        assert stage.take() == ["a started", "b/b1 started", "b/b2 started", "c started"]
    assert only(stage.journal, "stopped") == [
        "c stopped",
        "b/b2 stopped",
        "b/b1 stopped",
        "a stopped",
    ]


async def test_start_is_synchronous() -> None:
    """Start is synchronous: the parent goes on when the child says it is ready."""
    stage = Stage()
    stage.start_takes.update(a=2, b=1)
    began = trio.current_time()
    async with stage.open(stage.supervisor("a", "b")):
        assert trio.current_time() - began == pytest.approx(3)
        assert stage.take() == ["a started", "b started"]


async def test_a_child_that_is_not_ready_in_time_has_failed_to_start() -> None:
    """A child that is not ready when its start deadline passes has failed to start."""
    stage = Stage()
    stage.start_takes.update(b=100)
    root = SupervisorSpec("root", [stage.child("a"), stage.child("b", start_timeout=3)])
    began = trio.current_time()
    with pytest.raises(StartFailed, match="b: StartTimeout: not ready within 3 s") as caught:
        async with stage.open(root):
            raise AssertionError("not reached")
    assert trio.current_time() - began == pytest.approx(3)
    assert isinstance(caught.value.__cause__, StartFailed)
    assert isinstance(caught.value.__cause__.__cause__, StartTimeout)


async def test_a_tree_whose_first_start_fails_is_stopped_again_and_says_why() -> None:
    """A tree whose first start fails is stopped again and says why."""
    stage = Stage()
    stage.failing_starts["c/d"] = 1
    nested = stage.supervisor("d", name="c")
    root = SupervisorSpec("root", [stage.child("a"), stage.child("b"), nested])
    with pytest.raises(StartFailed, match="c/d: OSError: c/d cannot start"):
        async with stage.open(root):
            raise AssertionError("not reached")
    assert only(stage.journal, "stopped", "ended")[1:] == [
        "b stopped",
        "b ended",
        "a stopped",
        "a ended",
    ]
    assert "start_failed" in stage.kinds("c/d")
    assert "start_failed" in stage.kinds("")


async def test_a_factory_that_raises_is_a_failed_start() -> None:
    def broken() -> None:
        raise LookupError("no such part")

    root = SupervisorSpec("root", [ChildSpec("a", broken)])  # type: ignore[arg-type]
    with pytest.raises(StartFailed, match="a: LookupError: no such part"):
        async with Stage().open(root):
            raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [("one_for_one", "b"), ("one_for_all", "abc"), ("rest_for_one", "bc")],
)
async def test_a_strategy_says_who_is_restarted(strategy: str, restarted: str) -> None:
    """one_for_one restarts the child that crashed.
    one_for_all restarts all children.
    rest_for_one restarts the child and those that were started after it.
    """
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b", "c", strategy=strategy)) as system:
        stage.take()
        with pytest.raises(ActorCrashed):
            await system.ref("b").ask(Crash())
        await wait_all_tasks_blocked()
        journal = stage.take()
        assert only(journal, "started") == [f"{name} started" for name in restarted]
        stopped = [name for name in reversed(restarted) if name != "b"]
        assert only(journal, "stopped") == [f"{name} stopped" for name in stopped]
        for name in "abc":
            number = 2 if name in restarted else 1
            assert await system.ref(name).ask(Say("hi")) == f"{name}#{number}: hi"


@pytest.mark.parametrize(
    ("restart", "after_crash", "after_leaving"),
    [
        ("permanent", "running", "running"),
        ("transient", "running", "stopped"),
        ("temporary", "stopped", "stopped"),
    ],
)
async def test_a_restart_type_says_who_comes_back(
    restart: str, after_crash: str, after_leaving: str
) -> None:
    """A permanent child is always restarted; a transient one only after a crash; a temporary
    one never.
    """
    stage = Stage()
    root = SupervisorSpec("r", [stage.child(name, restart=restart) for name in "ab"])
    async with stage.open(root) as system:
        system.ref("a").tell_nowait(Crash())
        system.ref("b").tell_nowait(Leave())
        await wait_all_tasks_blocked()
        assert facts(system, "a").state == after_crash
        assert facts(system, "b").state == after_leaving
        assert "b stopping" in stage.journal


async def test_a_temporary_sibling_does_not_come_back() -> None:
    """A temporary child that a strategy took down does not come back.
    What an operator stopped stays stopped.
    """
    stage = Stage()
    children = [
        stage.child("a"),
        stage.child("b", restart="temporary"),
        stage.child("c"),
        stage.child("d", restart="transient"),
    ]
    async with stage.open(SupervisorSpec("r", children, strategy="one_for_all")) as system:
        await system.stop("c")
        system.ref("a").tell_nowait(Crash())
        await wait_all_tasks_blocked()
        states = [facts(system, name).state for name in "abcd"]
        assert states == ["running", "stopped", "stopped", "running"]


@pytest.mark.parametrize(("policy", "ends_after"), [("any_significant", 1), ("all_significant", 2)])
async def test_a_supervisor_ends_with_its_significant_children(
    policy: str, ends_after: int
) -> None:
    """A supervisor with auto_shutdown ends when any, or all, of its significant children have
    ended by themselves.
    """
    stage = Stage()
    children = [
        stage.child("plain", restart="transient"),
        stage.child("a", restart="transient", significant=True),
        stage.child("b", restart="temporary", significant=True),
    ]
    nested = SupervisorSpec("s", children, auto_shutdown=policy, restart="transient")  # type: ignore[arg-type]
    async with stage.open(SupervisorSpec("root", [nested])) as system:
        system.ref("s/plain").tell_nowait(Leave())
        await wait_all_tasks_blocked()
        for number, name in enumerate(["s/a", "s/b"], start=1):
            assert system.inspect("s").state == "running"
            system.ref(name).tell_nowait(Leave())
            await wait_all_tasks_blocked()
            if number == ends_after:
                break
        assert system.inspect("s").state == "stopped"
        assert facts(system, "s/a").state == "stopped"
        with pytest.raises(ActorStopped):
            await system.ref("s/b").ask(Say("hello"))


async def test_a_root_that_ends_by_itself_says_why() -> None:
    stage = Stage()
    child = stage.child("a", restart="transient", significant=True)
    root = SupervisorSpec("root", [child], auto_shutdown="any_significant")
    async with stage.open(root) as system:
        system.ref("a").tell_nowait(Leave())
        assert await system.wait_ended() == "a has ended, which is significant"
    assert stage.kinds("")[-1] == "left"


async def test_a_root_that_gives_up_ends_the_system() -> None:
    """More restarts than the intensity within the period, and the supervisor gives up.
    A root that gives up ends the system with `SupervisorGaveUp`.
    """
    stage = Stage()
    root = stage.supervisor("a", "b", intensity=2, backoff=Backoff(base=0))
    with pytest.raises(SupervisorGaveUp, match=r"more than 2 restarts in 5 s, the last of a: .*b"):
        await crash_in(stage, root, times=3)
    assert only(stage.journal, "stopped") == ["b stopped"]
    assert stage.kinds("")[-2:] == ["gave_up", "crashed"]
    assert stage.kinds("a").count("restarting") == 2


async def test_the_parent_of_who_gives_up_decides() -> None:
    """Its parent then decides."""
    stage = Stage()
    nested = stage.supervisor("a", "b", name="s", intensity=1, backoff=Backoff(base=0))
    async with stage.open(SupervisorSpec("root", [nested])) as system:
        for _ in range(2):
            system.ref("s/a").tell_nowait(Crash())
        system.ref("s/a").tell_nowait(Say("after all"))
        await wait_all_tasks_blocked()
        found = system.inspect("s")
        assert isinstance(found, SupervisorStatistics)
        assert (found.gave_up, found.restarts, found.restarts_in_period) == (1, 1, 0)
        assert stage.kinds("s") == ["started", "gave_up", "crashed", "restarting", "started"]
        assert "s/a said after all" in stage.journal
        assert await system.ref("s/b").ask(Say("hi")) == "s/b#2: hi"


async def test_restarts_far_apart_are_within_the_intensity() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", intensity=1, period=5)) as system:
        for _ in range(10):
            system.ref("a").tell_nowait(Crash())
            await trio.sleep(6)
        assert facts(system, "a").restarts == 10


async def test_a_failed_start_counts_as_a_restart() -> None:
    """A failed start counts as a restart."""
    stage = Stage()
    root = stage.supervisor("a", "b", intensity=3, backoff=STEADY, period=60)
    with pytest.raises(SupervisorGaveUp, match="a: OSError: a cannot start"):
        await crash_in(stage, root, times=1, failing_starts=99)
    assert 99 - stage.failing_starts["a"] == 3


async def test_restarts_in_a_row_wait_longer() -> None:
    stage = Stage()
    root = stage.supervisor("a", intensity=9, period=1, backoff=STEADY)
    async with stage.open(root) as system:
        stage.failing_starts["a"] = 3
        began = trio.current_time()
        system.ref("a").tell_nowait(Crash())
        assert await system.ref("a").ask(Say("hi"), timeout=60) == "a#5: hi"
        assert trio.current_time() - began == pytest.approx(0 + 1 + 2 + 4)
    delays = [event.delay for event in stage.events if event.kind == "restarting"]
    assert delays == pytest.approx([0, 1, 2, 4])


async def test_a_sibling_that_fails_in_a_restart_is_tried_again_with_those_after_it() -> None:
    stage = Stage()
    root = stage.supervisor("a", "b", "c", strategy="rest_for_one", backoff=STEADY)
    async with stage.open(root) as system:
        stage.take()
        stage.failing_starts["b"] = 1
        system.ref("a").tell_nowait(Crash())
        await trio.sleep(2)
        assert only(stage.take(), "started") == ["a started", "b started", "c started"]
        assert [facts(system, name).incarnation for name in "abc"] == [2, 3, 2]


async def test_a_slow_restart_delays_no_sibling_of_its_own_lane() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b")) as system:
        stage.start_takes["a"] = 4
        began = trio.current_time()
        system.ref("a").tell_nowait(Crash())
        system.ref("b").tell_nowait(Crash())
        await system.ref("b").ask(Say("hi"))
        assert trio.current_time() == began


async def test_two_crashes_at_once_are_one_restart_of_all() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", "b", strategy="one_for_all")) as system:
        for name in "ab":
            system.ref(name).tell_nowait(Crash())
        await wait_all_tasks_blocked()
        found = system.inspect("")
        assert isinstance(found, SupervisorStatistics)
        assert found.restarts == 1
        assert [facts(system, name).incarnation for name in "ab"] == [2, 2]


async def test_a_crash_while_a_sibling_starts_for_the_first_time_is_not_missed() -> None:
    stage = Stage()
    stage.start_takes["b"] = 3

    def doom(player: Player) -> None:
        async def soon() -> None:
            await trio.sleep(1)
            raise RuntimeError("soon")

        if player.context.incarnation == 1:
            player.context.spawn(soon)

    stage.on_start["a"] = doom
    async with stage.open(stage.supervisor("a", "b")) as system:
        assert await system.ref("a").ask(Say("hi")) == "a#2: hi"


async def test_the_body_of_a_system_that_fails_keeps_its_own_error() -> None:
    stage = Stage()
    with pytest.raises(KeyError, match="mine"):
        async with stage.open(stage.supervisor("a")):
            raise KeyError("mine")
    assert only(stage.journal, "stopped") == ["a stopped"]


async def test_a_crash_in_a_long_ask_while_the_tree_stops_ends_that_ask() -> None:
    stage = Stage()
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await ref.ask(Nap(60), timeout=100)
        except ActorStopped as stopped:
            outcomes.append(str(stopped))

    async with trio.open_nursery() as nursery, stage.open(stage.supervisor("a")) as system:
        ref = system.ref("a")
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
    assert outcomes == ["a: was stopped before it had answered Nap"]
