"""Child processes under a supervisor: real ones, that misbehave in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.engine.programs.messages import (
    PROTOCOL,
    Block,
    Call,
    Echo,
    Echoer,
    Exit,
    Wait,
    Who,
)

from sluice.engine import (
    ActorStatistics,
    ChildSpec,
    Event,
    LinkOptions,
    Links,
    NotAChild,
    ProcessGone,
    ProcessSpec,
    ProcessStatistics,
    Ref,
    Replace,
    StartFailed,
    SupervisorSpec,
    System,
    open_system,
)
from sluice.engine._join import read_place
from sluice.engine._spawned import Spawned

ROOT = Path(__file__).parents[2]
WORKER = [sys.executable, "-m", "tests.engine.programs.worker"]


class World:
    """A system with one child process, ``w``, and an actor here, ``here``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.links: Links
        self.system: System
        self.watch: Callable[[Event], object] = lambda _: None

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.watch(event)

    def ref(self) -> Ref:
        return self.system.ref("echoer@w")

    async def pid(self) -> int:
        return await self.ref().ask(Who())

    def process(self) -> ProcessStatistics:
        found = self.system.inspect("w")
        assert isinstance(found, ActorStatistics)
        assert isinstance(found.domain, ProcessStatistics)
        return found.domain

    def has_begun(self, generation: int) -> bool:
        """Whether the process of that generation is there; between two there is none."""
        found = self.system.inspect("w").domain  # type: ignore[union-attr]
        if not isinstance(found, ProcessStatistics):
            return False
        return found.generation == generation and found.pid is not None

    def details(self, kind: str) -> list[str]:
        return [event.detail for event in self.events if event.kind == kind]


@asynccontextmanager
async def world(
    manner: str = "good",
    *,
    options: LinkOptions | None = None,
    start_timeout: float = 30,
    **spec: Any,
) -> AsyncIterator[World]:
    made = World()
    links = made.links = Links("host", PROTOCOL, options=options)
    spec = {"drain": 5.0, "terminate": 5.0, **spec}
    spec.setdefault("argv", [*WORKER, manner])
    child = ProcessSpec("w", **spec).child(links, start_timeout=start_timeout)
    root = SupervisorSpec("root", [ChildSpec("here", Echoer), child])
    with trio.fail_after(60):
        async with open_system(root, on_event=made.on_event, links=links) as made.system:
            yield made


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 -- the operating system tells no event
            await trio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether there is no such process, a zombie neither."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def is_end(event: Event) -> bool:
    return event.kind in ("process_exited", "process_killed")


def is_reaped(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_a_process_is_a_child_that_is_asked_and_asks() -> None:
    async with world() as w:
        pid = await w.pid()
        assert pid == w.process().pid != os.getpid()
        assert await w.ref().ask(Call("here@host")) == "called"
        assert w.details("process_started") == [f"pid {pid}"]
    assert is_reaped(pid)
    assert w.details("process_exited") == [f"pid {pid} exited with code 0"]
    assert "crashed" not in [event.kind for event in w.events]


async def test_a_process_may_ask_its_parent_before_it_is_ready() -> None:
    async with world("asks") as w:
        assert await w.ref().ask(Echo("x")) == "x"


async def test_what_a_process_tells_last_arrives() -> None:
    async with world() as w:
        await w.system.stop("w")
        here = w.system.inspect("here")
        assert isinstance(here, ActorStatistics)
        await until(lambda: w.system.inspect("here").handled == 1)  # type: ignore[union-attr]


async def test_a_killed_process_is_restarted_at_the_same_address() -> None:
    async with world() as w:
        ref, first = w.ref(), await w.pid()
        os.kill(first, signal.SIGKILL)
        await until(lambda: w.has_begun(2))
        assert await ref.ask(Who()) != first
        assert is_reaped(first)
        crashed = [event for event in w.events if event.kind == "crashed"]
        assert "w was ended by SIGKILL" in crashed[0].detail
        assert w.process().last_exit == "was ended by SIGKILL"


async def test_asks_in_flight_fail_at_once_when_the_process_is_killed() -> None:
    async with world() as w:
        pid = await w.pid()
        failed = 0

        async def wait() -> None:
            nonlocal failed
            with pytest.raises(ProcessGone):
                await w.ref().ask(Wait(50), timeout=50)
            failed += 1

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(wait)
            await until(lambda: w.system.statistics().links[0].in_flight == 1000)
            os.kill(pid, signal.SIGKILL)
        assert failed == 1000


async def test_an_exit_code_is_told() -> None:
    async with world() as w:
        with pytest.raises(ProcessGone):
            await w.ref().ask(Exit(7))
        await until(lambda: w.has_begun(2))
        assert w.process().exits == 1
        assert w.process().last_exit == "exited with code 7"


@pytest.mark.parametrize("manner", ["hang", "mute"])
async def test_a_process_that_is_not_ready_in_time_is_a_failed_start(manner: str) -> None:
    began = time.monotonic()
    with pytest.raises(StartFailed, match="not ready within 1 s"):
        async with world(manner, start_timeout=1):
            raise AssertionError("it is not ready")
    assert time.monotonic() - began < 10


async def test_a_process_that_exits_before_it_is_ready_is_a_failed_start() -> None:
    with pytest.raises(StartFailed, match="exited with code 3"):
        async with world("fail"):
            raise AssertionError("it is not ready")


async def test_a_process_that_exits_after_its_link_is_told_with_why_the_link_ended() -> None:
    write = "os.write(int(os.environ['ENGINE_LINK'].split(':')[0]), b'\\xff' * 64)"
    program = [sys.executable, "-ISc", f"import os; {write}; os._exit(5)"]
    why = r"lost its link \(the peer sent what is not allowed: .*\) and exited with code 5"
    with pytest.raises(StartFailed, match=why):
        async with world(argv=program):
            raise AssertionError("it is not ready")


async def test_a_process_that_cannot_be_asked_to_stop_has_not_the_whole_drain() -> None:
    async with world() as w:
        other = Spawned(ProcessSpec("other", ["/bin/sleep", "60"]), w.links, "other")
        other.begin()
        await until(lambda: other.pid is not None)
        other.link.end("it was silent")
        await other.stop(3600)
        assert other.ending == "lost its link (it was silent) and was ended by SIGTERM"
    told = "SIGTERM: cannot be asked, lost its link (it was silent)"
    assert told in w.details("process_signalled")


async def test_who_runs_is_known_until_it_is_reaped_and_then_hears_no_signal() -> None:
    async with world() as w:
        (running,) = w.links.running("w")
        other = Spawned(ProcessSpec("other", ["/bin/sleep", "60"]), w.links, "other")
        other.begin()
        assert w.links.running("other") == [other]
        await until(lambda: other.pid is not None)
        other.terminate()
        await other.exited.wait()
        assert other.ending == "was ended by SIGTERM"
        assert w.links.running("other") == []
        other.terminate()
        assert w.links.running("w") == [running]


async def test_a_program_that_does_not_exist_is_a_failed_start() -> None:
    with pytest.raises(StartFailed, match="could not be started"):
        async with world(argv=["/nonexistent/program"]):
            raise AssertionError("it is not there")


async def test_a_process_that_ignores_stop_is_ended_by_sigterm() -> None:
    async with world("deaf", drain=0.3) as w:
        pid = await w.pid()
        await w.system.stop("w")
        assert is_reaped(pid)
    assert "was ended by SIGTERM" in w.details("process_exited")[0]


async def test_the_end_of_a_process_is_told_once_and_not_before_it_has_ended() -> None:
    """Who hears of it gives away what the process held, which goes on between the two signals."""
    async with world("stubborn", drain=0.1, terminate=0.3) as w:
        pid = await w.pid()
        ends: list[bool] = []
        w.watch = lambda event: ends.append(is_reaped(pid)) if is_end(event) else None
        await w.system.stop("w")
        assert ends == [True]
    assert w.details("process_signalled") == ["SIGTERM: not ended 0.1 s after it was asked"]


async def test_a_process_that_has_had_its_drain_already_is_not_given_it_again() -> None:
    async with world("deaf", drain=3600) as w:
        pid = await w.pid()
        w.links.hurry("w", 0.1)
        w.links.hurry("w", 3600)  # who is in a hurry stays so
        await w.system.stop("w")
        assert is_reaped(pid)
    assert w.details("process_signalled") == ["SIGTERM: not ended 0.1 s after it was asked"]


async def test_a_process_that_ignores_sigterm_too_is_killed() -> None:
    async with world("stubborn", drain=0.3, terminate=0.3) as w:
        pid = await w.pid()
        done = await w.system.stop("w")
        assert 0.6 <= done.seconds < 5
        assert is_reaped(pid)
    assert "ignored SIGTERM and was ended by SIGKILL" in w.details("process_killed")[-1]


async def test_a_process_that_blocks_its_loop_is_dead_after_the_links_patience() -> None:
    async with world(options=LinkOptions(interval=0.2, patience=2.5)) as w:
        pid = await w.pid()
        with pytest.raises(ProcessGone, match="silent for"):
            await w.ref().ask(Block(60), timeout=50)
        await until(lambda: w.has_begun(2))
        assert is_reaped(pid)


async def test_a_stopped_process_is_dead_after_the_links_patience() -> None:
    async with world(options=LinkOptions(interval=0.2, patience=2.5)) as w:
        pid = await w.pid()
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: w.has_begun(2))
        assert is_reaped(pid)
        assert await w.ref().ask(Echo("again")) == "again"


async def test_operators_restart_and_stop_a_process() -> None:
    async with world() as w:
        first = await w.pid()
        await w.system.restart("w")
        second = await w.pid()
        assert second != first
        assert is_reaped(first)
        await w.system.stop("w")
        assert is_reaped(second)
        with pytest.raises(ProcessGone):
            await w.ref().ask(Echo("x"))
        w.ref().tell_nowait(Echo("dead letter"))
        assert w.system.statistics().dead_letters == 1
        await w.system.restart("w")
        assert await w.ref().ask(Echo("back")) == "back"


async def test_a_cancelled_system_leaves_no_process_behind() -> None:
    pid = 0
    with trio.CancelScope() as scope:
        async with world() as w:
            pid = await w.pid()
            scope.cancel()
            await trio.sleep_forever()
    assert is_reaped(pid)


async def test_a_killed_parent_leaves_no_child_for_a_second() -> None:
    command = [sys.executable, "-m", "tests.engine.programs.parent"]
    parent = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    told = b""
    try:
        with trio.fail_after(60):
            while b"blocked" not in told:
                told += await parent.stdout.receive_some()
        pids = [int(line) for line in told.split()[:2]]
    finally:
        parent.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await parent.wait()
            await parent.stdout.aclose()
    began = time.monotonic()
    await until(lambda: all(is_gone(pid) for pid in pids), seconds=10)
    assert time.monotonic() - began < 1


async def test_the_address_answers_all_the_time_while_the_process_is_replaced() -> None:
    async with world("slow") as w:
        ref, first = w.ref(), await w.pid()
        seen: list[int] = []

        async def ask() -> None:
            while True:
                seen.append(await ref.ask(Who()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            done = await w.system.ref("w").ask(Replace(drain=2), timeout=40)
            assert (done.old, done.generation) == (first, 2)
            assert w.process().draining == (first,)
            await until(lambda: not w.process().draining)
            nursery.cancel_scope.cancel()
        assert is_reaped(first)
        assert set(seen) == {first, done.new}
        assert seen == sorted(seen, key=[first, done.new].index)
        assert "crashed" not in [event.kind for event in w.events]
        assert await ref.ask(Who()) == done.new


async def test_asks_to_the_replaced_process_are_still_answered() -> None:
    async with world("slow") as w:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(w.ref().ask, Wait(1.0), timeout=30))
            await until(lambda: w.system.statistics().links[0].in_flight == 1)
            await w.system.ref("w").ask(Replace(drain=4), timeout=40)
        await until(lambda: not w.process().draining)


async def test_a_crash_of_the_second_does_not_hasten_the_first() -> None:
    async with world("slow") as w:
        first = await w.pid()
        done = await w.system.ref("w").ask(Replace(drain=600), timeout=40)
        os.kill(done.new, signal.SIGKILL)
        await until(lambda: w.has_begun(3))
        assert w.process().draining == (first,)
        assert not is_gone(first)
        os.kill(first, signal.SIGKILL)  # it would take its time
        await until(lambda: not w.process().draining)
        assert is_reaped(first)


async def test_the_first_goes_on_when_the_second_does_not_get_ready(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.engine.programs.worker "good"\n')
    program.chmod(0o700)
    async with world(argv=[str(program)]) as w:
        first = await w.pid()
        for text, why in [("exit 4", "exited with code 4"), ("exec sleep 60", "was not ready")]:
            program.write_text(f"#!/bin/sh\n{text}\n")
            with pytest.raises(StartFailed, match=why):
                await w.system.ref("w").ask(Replace(start_timeout=1), timeout=40)
            assert (w.process().pid, w.process().generation) == (first, 1)
        assert await w.pid() == first
        await until(lambda: w.process().exits == 2)
        assert w.links.launches("w").started == 3


async def test_failed_starts_leave_no_descriptor_and_no_child_behind(tmp_path: Path) -> None:
    program = tmp_path / "program"
    ways = [
        ("exec " + " ".join([*WORKER, "fail"]), "exited with code 3", 30),
        ("exit 4", "exited with code 4", 30),
        ("exec sleep 60", "was not ready", 0.2),
        (None, "could not be started", 30),
    ]
    write_program(program, "exec " + " ".join([*WORKER, "good"]))
    async with world(argv=[str(program)]) as w:
        first, before = await w.pid(), descriptors()
        for text, why, timeout in ways + ways[1:]:
            write_program(program, text)
            with pytest.raises(StartFailed, match=why):
                await w.system.ref("w").ask(Replace(start_timeout=timeout), timeout=40)
        await until(lambda: w.process().exits == 5)
        assert descriptors() == before
        assert children() == [first]
        assert await w.pid() == first
    assert children() == []


def write_program(path: Path, text: str | None) -> None:
    """A shell's program; none, if ``text`` is None."""
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def children() -> list[int]:
    """The ids of all processes that this one started, zombies too."""
    found = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return sorted(int(pid) for pids in found for pid in pids)


async def test_ending_the_system_ends_those_that_drain_as_well() -> None:
    async with world("slow", drain=3) as w:
        first = await w.pid()
        done = await w.system.ref("w").ask(Replace(drain=3), timeout=40)
    assert is_reaped(first)
    assert is_reaped(done.new)


@pytest.mark.parametrize("text", [None, "", "x", "a:b:c:d", "1:2:3"])
def test_a_program_that_is_no_child_is_told_so(text: str | None) -> None:
    with pytest.raises(NotAChild, match="ENGINE_LINK is"):
        read_place(text)
