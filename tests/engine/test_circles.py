"""Circles of asks through two processes: an error at once, whichever ask closes them, and where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import permutations

import pytest
import trio
from tests.engine.cast import Nap, Pass, Say, Stage, Tell
from tests.engine.pair import MESSAGES, Pair, pair
from trio.testing import memory_stream_pair

from sluice.engine import ActorCrashed, EngineError, Link, Links, Mailbox, Protocol, System

NAMES = "abcd"


def placed(places: str) -> tuple[list[str], list[str], list[str]]:
    """The actors of the host, those of the worker, and all addresses; ``places``: h or w each."""
    names = NAMES[: len(places)]
    here = [name for name, place in zip(names, places, strict=True) if place == "h"]
    there = [name for name in names if name not in here]
    return here, there, [f"{name}@{'host' if name in here else 'worker'}" for name in names]


def systems_of(both: Pair) -> dict[str, System]:
    return {"host": both.host, "worker": both.worker}


async def close_circle(
    systems: dict[str, System], addresses: list[str], times: tuple[int, ...]
) -> list[str]:
    """Each actor asks the next one, at its second; the errors of those who made them do so."""
    errors: list[str] = []

    async def begin(address: str, following: str, at: int) -> None:
        system = systems[address.partition("@")[2]]
        message = Pass((following,), "x", first_nap=at, timeout=600)
        try:
            await system.ref(address).ask(message, timeout=900)
        except EngineError as error:
            errors.append(str(error))

    async with trio.open_nursery() as nursery:
        for address, following, at in zip(
            addresses, [*addresses[1:], addresses[0]], times, strict=True
        ):
            nursery.start_soon(begin, address, following, at)
    return errors


@pytest.mark.parametrize("places", ["hww", "hwh", "hhw", "hwhw", "hwwh"])
async def test_a_circle_is_an_error_at_once_in_whatever_order_it_is_made(places: str) -> None:
    here, there, addresses = placed(places)
    for times in permutations(range(1, len(places) + 1)):
        async with pair(here, there) as both:
            began = trio.current_time()
            errors = await close_circle(systems_of(both), addresses, times)
            assert trio.current_time() - began == pytest.approx(len(places))
            assert "AskCycle" in errors[0]
            assert len(both.host_links.waits) == len(both.worker_links.waits) == 0


@pytest.mark.parametrize("places", ["hw", "hww", "hwwh"])
async def test_a_circle_of_asks_made_at_the_same_time_is_an_error_at_once(places: str) -> None:
    here, there, addresses = placed(places)
    async with pair(here, there) as both:
        began = trio.current_time()
        errors = await close_circle(systems_of(both), addresses, (1,) * len(places))
        assert trio.current_time() - began == pytest.approx(1)
        assert "AskCycle" in errors[0]


@asynccontextmanager
async def three(actors: dict[str, str]) -> AsyncIterator[dict[str, System]]:
    """A host and two workers, which have links to the host only; ``actors`` says who is where."""
    names = ["host", "left", "right"]
    made = {name: Links(name, Protocol(MESSAGES), peers={*names} - {name}) for name in names}
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        systems: dict[str, System] = {}
        for name in names:
            stage = Stage()
            root = stage.supervisor(*[actor for actor, place in actors.items() if place == name])
            opened = stage.open(root, links=made[name])
            systems[name] = await stack.enter_async_context(opened)
        for worker in names[1:]:
            here, there = memory_stream_pair()
            ends = [Link(made["host"], here, worker), Link(made[worker], there, "host")]
            for link in ends:
                nursery.start_soon(link.run)
            for link in ends:
                await link.opened.wait()
                link.links.route(link)
        yield systems
        nursery.cancel_scope.cancel()


async def test_a_circle_through_three_processes_is_an_error_at_once() -> None:
    actors = {"a": "left", "b": "host", "c": "right", "d": "host"}
    addresses = [f"{actor}@{place}" for actor, place in actors.items()]
    for times in permutations(range(1, 5)):
        async with three(actors) as systems:
            began = trio.current_time()
            errors = await close_circle(systems, addresses, times)
            assert trio.current_time() - began == pytest.approx(4)
            assert "AskCycle" in errors[0]


async def test_who_waits_no_more_is_in_no_circle() -> None:
    async with pair(("a", "d"), ("b", "c")) as both:
        host, worker = both.host, both.worker
        async with trio.open_nursery() as nursery:
            asks = partial(Pass, text="x")
            nursery.start_soon(partial(host.ref("d").ask, asks(("a",), first_nap=10), timeout=60))
            nursery.start_soon(partial(worker.ref("c").ask, asks(("d@host",)), timeout=60))
            await trio.sleep(1)
            with pytest.raises(ActorCrashed, match="AskTimeout"):  # b waits for c, and d, no more
                await worker.ref("b").ask(asks(("c",), timeout=1))
            nursery.start_soon(partial(worker.ref("b").ask, Nap(20), timeout=60))
            await trio.sleep(1)
            nursery.start_soon(partial(host.ref("a").ask, asks(("b@worker",)), timeout=60))
            await trio.sleep(1)
            assert len(both.host_links.waits) == 2  # c, which waits for d; and b, for which a waits
        assert len(both.host_links.waits) == len(both.worker_links.waits) == 0


async def test_waiting_for_room_over_a_link_is_waiting_too() -> None:
    async with pair(mailbox=Mailbox(1)) as both:
        host, worker = both.host, both.worker
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            circle = Pass(("a@host",), "x", first_nap=2)
            worker.ref("b").tell_nowait(circle)
            await trio.sleep(1)
            worker.ref("b").tell_nowait(Say("fills"))
            nursery.start_soon(partial(host.ref("a").ask, Tell("b@worker", "waits"), timeout=60))
        assert trio.current_time() - began == pytest.approx(2)
        assert "AskCycle" in worker.crash_reports[0].reason
        await worker.ref("b").ask(Nap(0))
        said = [line for line in both.far_stage.journal if "said" in line]
        assert said == ["b said fills", "b said waits"]
        assert len(both.host_links.waits) == len(both.worker_links.waits) == 0
