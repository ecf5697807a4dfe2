"""What if we are cancelled here? At every await of the engine, at every moment.

Each scenario runs once for each moment at which it may wait, cancelled there, until it ends before
that moment comes. Whatever the moment: the tree stops, no task is left, every ask has ended, every
mailbox is closed, and no actor is lost without its `on_end`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
from tests.engine.cast import Crash, Nap, Pass, Say, Spawn, Stage, Watch
from trio.testing import MockClock

from sluice.engine import Backoff, EngineError, Mailbox, SupervisorSpec, System

Scenario = Callable[[System, Stage], Awaitable[object]]
MOMENTS = 100
"""More than any scenario has."""


def tree(stage: Stage) -> SupervisorSpec:
    stage.start_takes.update({"a": 0.1, "s/x": 0.1})
    stage.stop_takes.update({"a": 0.1, "s/y": 0.1, "b": 0.1})
    nested = stage.supervisor("x", "y", name="s", strategy="rest_for_one", intensity=9)
    return SupervisorSpec(
        "root",
        [stage.child("a", Mailbox(2)), nested, stage.child("b")],
        intensity=9,
        backoff=Backoff(base=0.1, jitter=0),
    )


async def ask(system: System, stage: Stage) -> None:
    await system.ref("a").ask(Pass(("s/x", "b"), "hi", 0.1))


async def tell_a_full_mailbox(system: System, stage: Stage) -> None:
    system.ref("a").tell_nowait(Nap(0.3))
    for n in range(4):
        await system.ref("a").tell(Say(str(n)))


async def crash(system: System, stage: Stage) -> None:
    with suppress(EngineError):
        await system.ref("s/x").ask(Crash())
    stage.failing_starts["s/x"] = 1
    with suppress(EngineError):
        await system.ref("s/x").ask(Crash())
    await system.ref("s/x").ask(Say("hi"))


async def crash_in_the_background(system: System, stage: Stage) -> None:
    await system.ref("a").ask(Spawn(0.1, crash=True))
    await system.ref("a").ask(Nap(0.05))
    with suppress(EngineError):
        await system.ref("a").ask(Nap(0.3))
    await system.ref("a").ask(Say("hi"))


async def order(system: System, stage: Stage) -> None:
    await system.restart("s/x")
    await system.pause("b")
    await system.restart("b")
    await system.resume("b")
    await system.stop("s")
    await system.restart("s")


async def monitor(system: System, stage: Stage) -> None:
    await system.ref("a").ask(Watch("b"))
    await system.restart("b")
    await system.restart("a")


async def perform(scenario: Scenario, cancel_at: float, whole: bool) -> bool:
    """Run ``scenario``; cancel it (or the ``whole`` system) after ``cancel_at`` seconds.

    False if it was over by then.
    """
    stage = Stage()
    in_scenario = trio.CancelScope()
    with trio.move_on_after(cancel_at if whole else 1000) as in_system:
        async with stage.open(tree(stage)) as system:
            in_scenario.deadline = trio.current_time() + (1000 if whole else cancel_at)
            with in_scenario:
                await scenario(system, stage)
            with trio.CancelScope(shield=not whole):
                await still_works(system)
    ended = [line for line in stage.journal if line.endswith(" ended")]
    born = sum(event.kind == "started" and event.path not in ("", "s") for event in stage.events)
    assert len(ended) >= born
    return in_system.cancelled_caught or in_scenario.cancelled_caught


async def still_works(system: System) -> None:
    """Whatever was cancelled: every actor can be brought to answer."""
    await trio.sleep(1)
    if system.inspect("s").state == "stopped":
        await system.restart("s")
    for path in system.paths:
        if system.inspect(path).state == "paused":
            await system.resume(path)
        assert (await system.ref(path).ask(Say("still"), timeout=20)).endswith("still")


SCENARIOS: list[Scenario] = [
    ask,
    tell_a_full_mailbox,
    crash,
    crash_in_the_background,
    order,
    monitor,
]


@pytest.mark.parametrize("whole", [False, True], ids=["the scenario", "the system"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_cancellation_at_any_moment_harms_nobody(
    scenario: Scenario,
    whole: bool,
) -> None:
    for moment in range(MOMENTS):
        cancel_at = moment * 0.05
        clock = MockClock(autojump_threshold=0)
        if not trio.run(partial(perform, scenario, cancel_at, whole), clock=clock):
            return
    raise AssertionError("it has more moments")


class Steps(trio.abc.Instrument):
    """Cancels ``scope`` when its task has been scheduled ``at`` times."""

    def __init__(self, at: int) -> None:
        self.scope = trio.CancelScope()
        self.left = at
        self.task: trio.lowlevel.Task | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


async def perform_in_steps(scenario: Scenario, steps: Steps) -> None:
    stage = Stage()
    async with stage.open(tree(stage)) as system:
        with steps.scope:
            steps.task = trio.lowlevel.current_task()
            await scenario(system, stage)
        steps.task = None
        await still_works(system)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_cancellation_in_the_same_turn_as_the_answer_harms_nobody(scenario: Scenario) -> None:
    for at in range(1, 12):
        steps = Steps(at)
        clock = MockClock(autojump_threshold=0)
        trio.run(partial(perform_in_steps, scenario, steps), clock=clock, instruments=[steps])
