"""Crash reports, events and the tree."""

from __future__ import annotations

import msgspec
import pytest
import trio
from tests.engine.cast import Crash, Nap, Player, Say, Spawn, Stage
from trio.testing import wait_all_tasks_blocked

from sluice.engine import (
    Actor,
    ActorCrashed,
    ChildSpec,
    Event,
    Message,
    SupervisorSpec,
    handler,
    open_system,
)


class Call(Message[None], frozen=True):
    model: str
    api_key: str


class Gateway(Actor):
    @handler
    def call(self, message: Call) -> None:
        raise PermissionError(f"refused {message.api_key}")

    def statistics(self) -> object:
        return {"calls": 3, "token": "t-98765"}


async def test_a_crash_report_holds_the_reason_the_message_and_the_state_without_secrets() -> None:
    """A crash report holds the reason, the message and the state, with secrets redacted."""
    async with open_system(SupervisorSpec("root", [ChildSpec("g", Gateway)])) as system:
        with pytest.raises(ActorCrashed) as caught:
            await system.ref("g").ask(Call("gpt", "sk-12345"))
        (report,) = system.crash_reports
        assert (report.path, report.kind, report.incarnation) == ("g", "Gateway", 1)
        assert (report.phase, report.reason) == ("handling", "PermissionError: refused ***")
        assert "in call" in report.traceback
        assert (report.message_type, report.message) == (
            "Call",
            {"type": "Call", "model": "gpt", "api_key": "***"},
        )
        assert report.state == {"calls": 3, "token": "***"}
        assert report.at.tzinfo is not None
        everything = msgspec.json.encode(report).decode() + str(caught.value)
        assert "sk-12345" not in everything
        assert "t-98765" not in everything


async def test_only_the_last_crash_reports_are_kept() -> None:
    stage = Stage()
    async with stage.open(stage.supervisor("a", intensity=1000)) as system:
        for n in range(100):
            with pytest.raises(ActorCrashed):
                await system.ref("a").ask(Crash(str(n)), timeout=60)
        assert len(system.crash_reports) == 64
        assert system.crash_reports[-1].reason == "RuntimeError: 99"
        assert system.statistics().crashes == 100


async def test_a_hook_is_told_of_starts_crashes_restarts_and_ends() -> None:
    """A hook is told of starts, crashes, restarts and ends; its own faults harm nobody."""
    stage = Stage()
    async with stage.open(stage.supervisor("a")) as system:
        system.ref("a").tell_nowait(Crash())
        await wait_all_tasks_blocked()
    assert stage.kinds("a") == ["started", "crashed", "restarting", "started", "stopped"]
    assert stage.kinds("") == ["started", "stopped"]
    crashed = next(event for event in stage.events if event.kind == "crashed")
    assert crashed.report is system.crash_reports[0]
    assert crashed.detail == "RuntimeError: boom"


async def test_a_hook_that_raises_is_counted() -> None:
    def rude(event: Event) -> None:
        raise RuntimeError("no")

    stage = Stage()
    async with open_system(stage.supervisor("a"), on_event=rude) as system:
        assert await system.ref("a").ask(Say("hi")) == "a#1: hi"
        assert system.statistics().hook_failures == 2


async def test_the_tree_can_be_dumped() -> None:
    """The tree can be dumped, as data and as text."""
    stage = Stage()
    nested = stage.supervisor("x", name="s", strategy="one_for_all")
    async with stage.open(SupervisorSpec("root", [stage.child("a"), nested])) as system:
        await system.ref("a").ask(Spawn(100))
        system.ref("a").tell_nowait(Nap(50))
        await trio.sleep(1)
        system.ref("a").tell_nowait(Say("later"))
        await system.restart("s/x")
        assert str(system.tree()).splitlines() == [
            "root (one_for_one) running",
            "├─ a [Player] running #1, 1 waiting, handling Nap",
            "│  └─ task background",
            "└─ s (one_for_all) running",
            "   └─ x [Player] running #2",
        ]
        node = system.tree()
        assert [child.path for child in node.children] == ["a", "s"]
        assert msgspec.json.decode(msgspec.json.encode(node))["children"][0]["handling"] == "Nap"
        with trio.move_on_after(0):
            await system.restart("a")


async def test_a_crash_with_several_causes_is_reported_with_all_of_them() -> None:
    stage = Stage()

    def doom(player: Player) -> None:
        raise ExceptionGroup("both", [RuntimeError("one"), RuntimeError("two")])

    async with stage.open(stage.supervisor("a")) as system:
        stage.on_start["a"] = doom
        system.ref("a").tell_nowait(Crash())
        await wait_all_tasks_blocked()
        del stage.on_start["a"]
        report = system.crash_reports[1]
        assert report.phase == "starting"
        assert "one" in report.traceback
        assert "two" in report.traceback
        assert report.reason.startswith("ExceptionGroup")
