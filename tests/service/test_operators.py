"""What an operator may do to a service that streams, and what its clients see of it: nothing.

No actor here holds a connection of a client but `edge` and `streams`; those drain.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
import trio
from tests.http.edge_world import Answer
from tests.service.operators_world import (
    HELD,
    PATIENCE,
    PROVIDER,
    SHORT,
    World,
    failed,
    is_refused,
    is_whole,
    never_back,
    open_world,
    request,
    text_of,
    total,
    until,
)

from sluice.actors.metrics.metrics import ChunksStreamed
from sluice.actors.providers.provider_actor import Settle
from sluice.actors.slots.connections import Acquire
from sluice.actors.streams.streams import TELL_CHUNKS
from sluice.engine import ActorStatistics, Message, SupervisorStatistics

How = Literal["restarted", "crashed", "paused", "stopped and restarted"]

CHUNKS = 22
"""Of a `HELD` stream: its role, 20 pieces of text, why it ended."""
NOTHING: Any = None
POISON: dict[str, Message[Any]] = {
    "metrics": ChunksStreamed(NOTHING),
    "connections": Acquire([]),  # type: ignore[arg-type]
    PROVIDER: Settle(NOTHING),
}
"""Messages on which their actor crashes."""

HOWS: tuple[How, ...] = ("restarted", "crashed", "paused", "stopped and restarted")
CASES = [
    (path, how)
    for path in [*POISON, "providers"]
    for how in HOWS
    if (path, how) != ("providers", "paused")  # only actors can be paused
]
disturbances = pytest.mark.parametrize(("path", "how"), CASES)

Answers = dict[str, Answer]
"""By their prompts."""


@asynccontextmanager
async def disturbed(world: World, path: str, how: How) -> AsyncIterator[None]:
    """Within the block what is at ``path`` goes down, or is down; after it, it is up again."""
    system = world.system
    if how == "paused":
        await system.pause(path)
        yield
        await system.resume(path)
    elif how == "stopped and restarted":
        await system.stop(path)
        yield
        await system.restart(path)
    elif how == "restarted":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(system.restart, path)
            yield
    elif path == "providers":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up, world)
            yield
    else:
        world.system.ref(path).tell_nowait(POISON[path])
        yield
        await until(lambda: lives(world, path) == 2)


async def give_up(world: World) -> None:
    """Crash the provider until its supervisor has had enough, and the root brings both back."""
    gave_up = False
    while not gave_up:
        before = lives(world, PROVIDER)
        world.system.ref(PROVIDER).tell_nowait(POISON[PROVIDER])
        await until(lambda: lives(world, PROVIDER) > before)  # noqa: B023 -- called here only
        supervisor = world.system.inspect("providers")
        assert isinstance(supervisor, SupervisorStatistics)
        gave_up = supervisor.gave_up > 0


def lives(world: World, path: str) -> int:
    """How many incarnations of the actor have come up, if one is up."""
    found = world.system.inspect(path)
    assert isinstance(found, ActorStatistics)
    return found.incarnation if found.state == "running" else 0


async def ask(world: World, answers: Answers, model: str, prompt: str) -> None:
    answers[prompt] = await world.ask(model, prompt)


async def held(world: World, nursery: trio.Nursery, count: int) -> Answers:
    """Begin ``count`` streams; return when each is in its middle. Answers come in later."""
    answers: Answers = {}
    for number in range(count):
        nursery.start_soon(ask, world, answers, HELD, f"held {number}")
    await world.simulator.wait(lambda now: now.held == count)
    return answers


async def are_whole_once_released(world: World, answers: Answers, count: int) -> None:
    """Let the streams end; every one must have all of its own answer."""
    assert not answers
    world.simulator.release()
    await until(lambda: len(answers) == count)
    for prompt, answer in answers.items():
        assert is_whole(answer, text_of(HELD, prompt, 20)), answer


async def nothing_is_left(world: World) -> None:
    await world.idle()
    assert (await world.slots()).active == 0
    await world.simulator.wait(lambda now: now.open == 0)
    assert total(await world.samples(), "sse_active_connections") == 0


async def chunks_counted(world: World, count: int) -> None:
    """Return when exactly ``count`` are: some may have been owed to metrics that were stopped."""
    counted = -1.0
    with trio.fail_after(PATIENCE):
        while counted < count:
            await trio.sleep(TELL_CHUNKS / 10)
            counted = total(await world.samples(), "sse_chunks_streamed_total")
    assert counted == count


def slots_held(world: World) -> int:
    """What the streams themselves say."""
    return sum(stream.holds_slot for stream in world.worker.streams.live.values())


@disturbances
async def test_no_stream_and_no_slot_is_lost_and_none_granted_above_the_limit(
    path: str, how: How
) -> None:
    absent = path == "connections" and how in {"paused", "stopped and restarted"}
    nobody = ("connections", "stopped and restarted")
    async with open_world(limit=100) as world, trio.open_nursery() as nursery:
        streams = await held(world, nursery, 100)
        assert is_refused(await world.ask(SHORT, "before"), 429, "no_capacity")
        before = await world.samples()
        late: Answers = {}
        async with disturbed(world, path, how):
            nursery.start_soon(ask, world, late, SHORT, "during")
            await until(lambda: bool(late) or len(world.worker.streams.live) > 100)
            assert slots_held(world) == 100
            assert absent or (await world.slots()).active == 100
        await until(lambda: bool(late))
        refusal = (503, "overloaded") if (path, how) == nobody else (429, "no_capacity")
        assert is_refused(late["during"], *refusal)
        assert (await world.slots()).active == 100
        assert is_refused(await world.ask(SHORT, "after"), 429, "no_capacity")
        after = await world.samples()
        assert never_back(before, after)
        assert total(after, "sse_active_connections") == 100
        assert total(after, "sse_connection_limit") == 100
        await are_whole_once_released(world, streams, 100)
        await nothing_is_left(world)
        end = await world.samples()
        assert never_back(after, end)
        assert total(end, "sse_requests_total", status="success") == 100
        await chunks_counted(world, 100 * CHUNKS)


class Visitors:
    """Clients that ask for one short stream after another."""

    def __init__(self, world: World, nursery: trio.Nursery, count: int = 4) -> None:
        self.answers: Answers = {}
        self.waiting = 0
        self._world = world
        self._done = False
        self._left = count
        for number in range(count):
            nursery.start_soon(self._visit, number)

    async def served(self, more: int) -> None:
        """Return when ``more`` answers have come than now."""
        wanted = len(self.answers) + more
        await until(lambda: len(self.answers) >= wanted)

    async def gone(self) -> None:
        """Have them leave, each with its last answer."""
        self._done = True
        await until(lambda: self._left == 0)

    def not_whole(self) -> list[Answer]:
        return [
            answer
            for prompt, answer in self.answers.items()
            if not is_whole(answer, text_of(SHORT, prompt, 4))
        ]

    async def _visit(self, number: int) -> None:
        for visit in itertools.count():
            await ask(self._world, self.answers, SHORT, f"visitor {number}, visit {visit}")
            if self._done:
                break
        self._left -= 1


@disturbances
async def test_new_streams_are_served_before_during_and_after(path: str, how: How) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        streams = await held(world, nursery, 20)
        visitors = Visitors(world, nursery)
        await visitors.served(4)
        before = await world.samples()
        async with disturbed(world, path, how):
            if (path, how) == ("connections", "paused"):
                await until(lambda: waiting(world, path) >= 4)
            else:
                await visitors.served(8)
        await visitors.served(8)
        await visitors.gone()
        refused = visitors.not_whole()
        if (path, how) == ("connections", "stopped and restarted"):
            assert all(is_refused(answer, 503, "overloaded") for answer in refused)
            assert refused
        else:
            assert refused == []
        await are_whole_once_released(world, streams, 20)
        await nothing_is_left(world)
        after = await world.samples()
        assert never_back(before, after)
        success = total(after, "sse_requests_total", status="success")
        served = 20 + len(visitors.answers) - len(refused)
        assert success == served  # also what ended while nobody counted
        assert total(after, "sse_requests_total") == served
        assert total(after, "sse_errors_total") == len(refused)


def waiting(world: World, path: str) -> int:
    found = world.system.inspect(path)
    assert isinstance(found, ActorStatistics)
    return found.mailbox.waiting


async def test_no_slot_is_granted_twice_while_the_manager_restarts_again_and_again() -> None:
    async with open_world(limit=10) as world, trio.open_nursery() as nursery:
        answers: Answers = {}
        for number in range(40):
            nursery.start_soon(ask, world, answers, HELD, f"held {number}")
        for _ in range(10):
            await world.system.restart("connections")
        await until(lambda: len(answers) == 30)
        assert all(is_refused(answer, 429, "no_capacity") for answer in answers.values())
        assert world.simulator.statistics.peak == 10
        assert slots_held(world) == (await world.slots()).active == 10
        answers.clear()
        await are_whole_once_released(world, answers, 10)
        await nothing_is_left(world)


async def test_no_slot_is_lost_when_streams_end_while_the_manager_restarts() -> None:
    async with open_world(limit=100) as world:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                answers = await held(world, nursery, 100)
                for _ in range(5):
                    nursery.start_soon(world.system.restart, "connections")
                world.simulator.release()
            await world.idle()
            assert len(answers) == 100
            assert (await world.slots()).active == 0


async def test_slots_that_are_given_back_while_the_manager_is_stopped_are_free_after_it() -> None:
    async with open_world(limit=5) as world, trio.open_nursery() as nursery:
        answers = await held(world, nursery, 5)
        await world.system.stop("connections")
        await are_whole_once_released(world, answers, 5)
        await world.system.restart("connections")
        await nothing_is_left(world)
        again = await held(world, nursery, 5)
        assert is_refused(await world.ask(SHORT, "full"), 429, "no_capacity")
        world.simulator.release()
        await until(lambda: len(again) == 5)


async def test_a_request_on_which_the_manager_crashes_is_served_by_the_next_one() -> None:
    async with open_world() as world:
        life = world.system._runtime.cells["connections"].life
        assert life is not None
        life._actor._slots = NOTHING  # type: ignore[union-attr]
        answer = await world.ask(SHORT, "unlucky")
        assert is_whole(answer, text_of(SHORT, "unlucky", 4))
        (report,) = world.system.crash_reports
        assert (report.path, report.incarnation) == ("connections", 1)
        assert Acquire.__name__ in str(report.message)
        await nothing_is_left(world)


async def test_gauges_are_right_after_the_metrics_were_stopped_while_streams_ended() -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        answers = await held(world, nursery, 10)
        await world.system.stop("metrics")
        await are_whole_once_released(world, answers, 10)
        await world.idle()
        refused = await world.get("/metrics")
        assert is_refused(refused, 503, "unavailable")
        await world.system.restart("metrics")
        assert total(await world.samples(), "sse_active_connections") == 0


# -- those that hold connections ---------------------------------------------------------------

STALLED = "sim-stall?chunks=9"
SILENT = "sim-silent"


class Mixed:
    """Streams that will end if they are let, streams that will not, and whole answers likewise."""

    def __init__(self, world: World, nursery: trio.Nursery) -> None:
        self.world = world
        self.held: Answers = {}
        self.stalled: Answers = {}
        self.silent: Answers = {}
        for number in range(10):
            nursery.start_soon(ask, world, self.held, HELD, f"held {number}")
            nursery.start_soon(ask, world, self.stalled, STALLED, f"stalled {number}")
        nursery.start_soon(self._ask_whole)

    async def _ask_whole(self) -> None:
        self.silent["whole"] = await self.world.ask(SILENT, "whole", streamed=False)

    async def under_way(self) -> None:
        await self.world.simulator.wait(lambda now: now.held == 10 and now.open == 21)
        live = self.world.worker.streams.live
        await until(lambda: sum(each.head_sent for each in live.values()) == 20)

    async def ended_honestly(self) -> None:
        """Those that could end are complete; each of the others got one error and an end."""
        await until(lambda: len(self.held) == len(self.stalled) == 10 and bool(self.silent))
        for prompt, answer in self.held.items():
            assert is_whole(answer, text_of(HELD, prompt, 20)), answer
        for answer in self.stalled.values():
            assert failed(answer, "stopping"), answer
        assert is_refused(self.silent["whole"], 503, "stopping")


async def test_restarting_the_streams_drains_them() -> None:
    async with open_world(drain=1.0) as world, trio.open_nursery() as nursery:
        mixed = Mixed(world, nursery)
        await mixed.under_way()
        async with trio.open_nursery() as operator:
            operator.start_soon(world.system.restart, "streams")
            await until(lambda: not world.worker.streams.accepting)
            assert is_refused(await world.ask(SHORT, "meanwhile"), 503, "not_accepting")
            world.simulator.release()
        await mixed.ended_honestly()
        assert is_whole(await world.ask(SHORT, "after"), text_of(SHORT, "after", 4))
        await nothing_is_left(world)


async def test_restarting_the_edge_drains_it_and_refuses_no_connection() -> None:
    async with open_world(drain=1.0) as world, trio.open_nursery() as nursery:
        mixed = Mixed(world, nursery)
        await mixed.under_way()
        idle = await world.connect()
        assert (await idle.request(request(SHORT, "idle", keep=True))).status == 200
        late: Answers = {}
        async with trio.open_nursery() as operator:
            operator.start_soon(world.system.restart, "edge")
            await until(lambda: edge_drains(world))
            for number in range(10):
                nursery.start_soon(ask, world, late, SHORT, f"late {number}")
            world.simulator.release()
            assert await idle.closed()
        await idle.leave()
        await mixed.ended_honestly()
        await until(lambda: len(late) == 10)
        for prompt, answer in late.items():
            assert is_whole(answer, text_of(SHORT, prompt, 4))
        await nothing_is_left(world)


def edge_drains(world: World) -> bool:
    found = world.system.inspect("edge")
    return (
        isinstance(found, ActorStatistics) and found.state == "stopping" and found.domain.draining
    )


@pytest.mark.parametrize("path", ["streams", "edge"])
async def test_a_drain_ends_with_the_last_stream(path: str) -> None:
    async with open_world(drain=10 * 3600.0) as world, trio.open_nursery() as nursery:
        answers = await held(world, nursery, 20)
        async with trio.open_nursery() as operator:
            operator.start_soon(world.system.restart, path)
            await until(lambda: world.system.inspect(path).state == "stopping")
            await are_whole_once_released(world, answers, 20)
        assert is_whole(await world.ask(SHORT, "after"), text_of(SHORT, "after", 4))
        await nothing_is_left(world)


async def test_the_manager_can_be_restarted_while_the_streams_drain() -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        answers = await held(world, nursery, 20)
        async with trio.open_nursery() as operator:
            operator.start_soon(world.system.restart, "streams")
            await until(lambda: not world.worker.streams.accepting)
            await world.system.restart("connections")
            assert (await world.slots()).active == 20
            await are_whole_once_released(world, answers, 20)
        assert is_whole(await world.ask(SHORT, "after"), text_of(SHORT, "after", 4))
        await nothing_is_left(world)


async def test_a_crash_of_the_streams_actor_cuts_no_stream() -> None:
    async with open_world(limit=100) as world, trio.open_nursery() as nursery:
        answers = await held(world, nursery, 100)
        cell = world.system._runtime.cells["streams"]
        assert cell.life is not None
        cell.life.spawn(_raise, (), "a fault")
        await until(lambda: lives(world, "streams") == 2)
        assert (await world.slots()).active == 100
        assert is_refused(await world.ask(SHORT, "full"), 429, "no_capacity")
        await are_whole_once_released(world, answers, 100)
        await nothing_is_left(world)


async def _raise() -> None:  # noqa: ASYNC124 -- a background task
    raise RuntimeError("as if")
