"""A host that lends slots, and workers that grant them, in one system and on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from sluice.actors.slots.borrowing import TELL, Borrower, Lease, LeasedConnections
from sluice.actors.slots.connections import Acquire, Count, Granted, Refused
from sluice.actors.slots.leases import Leases
from sluice.actors.slots.lending import DEAF, PATIENCE, Borrow, Lender, Shrink
from sluice.actors.slots.returns import Returns
from sluice.engine import ChildSpec, Event, Ref, SupervisorSpec, System, open_system

NAMES = ("one", "two")


class Replica:
    """A host and two workers, each with its streams."""

    def __init__(self, limit: int) -> None:
        self.leases = Leases(limit, 0.8, sharers=len(NAMES))
        self.returns = {name: Returns() for name in NAMES}
        self.leased = {name: Lease(name, self.returns[name]) for name in NAMES}
        self.reachable = list(NAMES)
        self.events: list[Event] = []
        self.system: System

    def spec(self) -> SupervisorSpec:
        children: list[ChildSpec | SupervisorSpec] = [
            ChildSpec("connections", lambda: Lender(self.leases, self._borrowers))
        ]
        for name in NAMES:
            children += self._worker(name)
        return SupervisorSpec("root", children)

    def _worker(self, name: str) -> list[ChildSpec]:
        lease, returns = self.leased[name], self.returns[name]
        return [
            ChildSpec(f"{name}-connections", lambda: LeasedConnections(lease, "connections")),
            ChildSpec(f"{name}-lease", lambda: Borrower(lease, returns, "connections")),
        ]

    def _borrowers(self) -> dict[str, Ref]:
        return {name: self.system.ref(f"{name}-lease") for name in self.reachable}

    async def ask(self, name: str, stream: str) -> Granted | Refused:
        acquire = Acquire(stream, trio.current_time())
        return await self.system.ref(f"{name}-connections").ask(acquire)

    async def begins(self, name: str, stream: str) -> bool:
        return isinstance(await self.ask(name, stream), Granted)

    async def begins_and_leaves(self, name: str, stream: str) -> None:
        """Ask, and go before the answer: what may have been granted is given back."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.begins, name, stream)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        self.returns[name].put(stream)

    async def active(self) -> int:
        return (await self.system.ref("connections").ask(Count())).active


@asynccontextmanager
async def replica(limit: int) -> AsyncIterator[Replica]:
    made = Replica(limit)
    async with open_system(made.spec(), on_event=made.events.append) as made.system:
        yield made
        assert not [event for event in made.events if event.kind == "crashed"]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_the_last_slot_is_granted_and_the_next_one_refused_wherever_they_come(
    limit: int,
) -> None:
    async with replica(limit) as at:
        granted = [await at.begins(NAMES[each % 2], str(each)) for each in range(limit)]
        assert all(granted)
        for name in NAMES:
            assert await at.ask(name, "too many") == Refused(1.0)
        for name in NAMES:
            at.returns["one"].put("0")
            assert await at.begins(name, "0")
            assert not await at.begins(name, "too many")


@pytest.mark.parametrize("limit", [2, 7, 100])
async def test_one_worker_may_have_all_slots_and_then_the_other(limit: int) -> None:
    async with replica(limit) as at:
        for name in ("one", "two", "one"):
            for each in range(limit):
                assert await at.begins(name, f"{each}")
            assert not await at.begins(name, "too many")
            for each in range(limit):
                at.returns[name].put(f"{each}")


async def test_a_request_within_the_lease_asks_the_host_nothing() -> None:
    async with replica(100) as at:
        await at.begins("one", "first")
        for each in range(50):
            assert await at.begins("one", str(each % 20))
            at.returns["one"].put(str(each % 20))
        assert at.leases.answered("one") == 1


async def test_a_flood_that_must_be_refused_costs_the_host_few_questions() -> None:
    async with replica(1) as at:
        assert await at.begins("one", "0")
        refused: list[bool] = []

        async def knock(each: int) -> None:
            refused.append(not await at.begins("two", f"knock {each}"))

        async with trio.open_nursery() as nursery:
            for each in range(200):
                nursery.start_soon(knock, each)
        assert refused == [True] * 200
        assert at.leases.answered("two") <= 2


async def test_what_is_in_use_is_told_within_a_moment_and_counted_exactly(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica(10) as at:
        for each in range(3):
            await at.begins("one", str(each))
        await at.begins("two", "a")
        await trio.sleep(2 * TELL)
        assert at.leases.by_process() == {"one": 3, "two": 1}
        at.returns["one"].put("0")
        at.returns["two"].put("a")
        assert await at.active() == 2
        await trio.sleep(2 * TELL)
        assert at.leases.by_process() == {"one": 2, "two": 0}


async def test_a_worker_that_leaves_gives_back_at_once_what_it_does_not_use() -> None:
    async with replica(100) as at:
        await at.begins("one", "a")
        at.reachable.remove("one")
        at.leased["one"].leave()
        await trio.testing.wait_all_tasks_blocked()
        assert at.leases.lent == 1
        assert await at.begins("one", "late")
        await trio.testing.wait_all_tasks_blocked()
        assert at.leases.lent == 2
        for each in range(98):
            assert await at.begins("two", str(each))
        assert not await at.begins("two", "too many")
        at.returns["one"].put("a")
        await trio.testing.wait_all_tasks_blocked()
        assert await at.begins("two", "the last one")


async def test_who_does_not_answer_costs_others_a_moment_and_not_again_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica(8) as at:
        assert await at.begins("one", "a")
        assert at.leased["one"].slots.limit == 2  # it has one to spare
        for each in range(6):
            assert await at.begins("two", str(each))
        await at.system.pause("one-lease")
        before = trio.current_time()
        assert not await at.begins("two", "b")
        assert 0 < trio.current_time() - before <= PATIENCE
        before = trio.current_time()
        assert not await at.begins("two", "c")
        assert trio.current_time() == before
        await at.system.resume("one-lease")
        await trio.sleep(DEAF)
        assert await at.begins("two", "d")


async def test_the_slots_of_a_worker_that_ended_are_free() -> None:
    async with replica(4) as at:
        while await at.begins("one", str(at.leases.lent)):
            pass
        at.leases.bereave("one")
        for each in range(4):
            assert await at.begins("two", str(each))


async def test_who_ended_while_it_was_asked_for_is_lent_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica(1) as at:
        assert await at.begins("one", "a")
        await at.system.pause("one-lease")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.begins, "two", "b")
            await trio.testing.wait_all_tasks_blocked()
            at.leases.bereave("two")
        assert (at.leases.has("two"), at.leases.lent) == (False, 1)


async def test_a_lowered_limit_takes_back_what_is_not_in_use_at_once() -> None:
    async with replica(100) as at:
        for name in NAMES:
            assert await at.begins(name, "a")
        at.leases.resize(3, 0.8)
        await at.system.ref("connections").ask(Shrink())
        assert at.leases.lent <= 3
        granted = [await at.begins(name, str(each)) for each in range(3) for name in NAMES]
        assert granted.count(True) == 1


@pytest.mark.parametrize("path", ["connections", "one-connections", "one-lease"])
async def test_a_restart_neither_loses_a_slot_nor_grants_one_twice(path: str) -> None:
    async with replica(4) as at:
        assert await at.begins("one", "a")
        assert await at.begins("two", "b")
        await at.system.restart(path)
        assert await at.begins("one", "c")
        assert await at.begins("two", "d")
        assert not await at.begins("one", "e")
        at.returns["two"].put("d")
        assert await at.begins("one", "e")


async def test_without_its_host_a_worker_says_that_it_cannot_find_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica(1) as at:
        await at.system.stop("connections")
        assert await at.ask("one", "a") == Refused(1.0, overloaded=True)
        await at.system.restart("connections")
        assert await at.begins("one", "a")


@pytest.mark.parametrize("look", [False, True])
async def test_who_leaves_while_a_slot_is_borrowed_for_it_strands_none(*, look: bool) -> None:
    async with replica(2) as at:
        await at.system.pause("connections")
        await at.begins_and_leaves("one", "left")
        if look:
            at.leased["one"].take_back()
        await at.system.resume("connections")
        assert await at.begins("one", "a")
        assert await at.begins("two", "b")
        assert not await at.begins("one", "c")


async def test_what_is_lent_for_one_who_left_goes_back_from_a_worker_that_leaves() -> None:
    async with replica(8) as at:
        await at.system.pause("connections")
        await at.begins_and_leaves("one", "left")
        at.leased["one"].leave()
        await trio.testing.wait_all_tasks_blocked()
        await at.system.resume("connections")
        await trio.testing.wait_all_tasks_blocked()
        assert (at.leased["one"].slots.limit, at.leases.lent) == (0, 0)


async def test_an_answer_that_came_too_late_strands_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica(1) as at:
        await at.system.pause("connections")
        assert await at.ask("one", "a") == Refused(1.0, overloaded=True)
        await at.system.resume("connections")
        await at.system.ref("connections").ask(Borrow("one", 1, 0))  # as if it had been handled
        assert at.leases.lent == 1
        assert await at.begins("two", "b")
        assert not await at.begins("one", "c")
