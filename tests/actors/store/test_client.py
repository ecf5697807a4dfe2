"""What a request may rely on, whatever the store does: on virtual time."""

from __future__ import annotations

import pytest
import trio
from tests.actors.store.fake_store import World, echo
from trio.testing import MockClock, wait_all_tasks_blocked

from sluice.actors.store import Patience, Script, StoreRefused, StoreUnavailable, command
from sluice.actors.store.channel import Change
from sluice.actors.store.link import MOST_WAITING

GET = command("GET", "a")


async def lost(world: World, patience: Patience | None = None) -> tuple[str, float]:
    """Why an operation was not done, and the seconds that took."""
    began = trio.current_time()
    with pytest.raises(StoreUnavailable) as told:
        await world.client.run(GET, patience)
    return str(told.value), trio.current_time() - began


async def test_an_answer_goes_to_who_asked(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    found: dict[str, bytes] = {}

    async def ask(name: str) -> None:
        found[name] = await world.client.run(command("GET", name))

    async with trio.open_nursery() as asking:
        for number in range(100):
            asking.start_soon(ask, f"key-{number}")
    assert found == {f"key-{number}": b"key-%d" % number for number in range(100)}


async def test_what_is_asked_for_at_the_same_time_is_sent_in_one_piece(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    async with trio.open_nursery() as asking:
        for _ in range(64):
            asking.start_soon(world.client.run, GET)
    assert [len(piece) for piece in world.fake.pieces] == [64]


async def test_many_operations_are_answered_in_order(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    names = ["c", "a", "b"]
    assert await world.client.run_many([command("GET", each) for each in names]) == [
        b"c",
        b"a",
        b"b",
    ]
    assert len(world.fake.pieces) == 1


async def test_who_is_cancelled_breaks_nothing_for_the_others(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.delay = 0.02
    found = []

    async def ask(name: str) -> None:
        found.append(await world.client.run(command("GET", name)))

    async with trio.open_nursery() as asking:
        asking.start_soon(ask, "a")
        with trio.move_on_after(0.01) as impatient:
            await world.client.run(command("GET", "b"))
        asking.start_soon(ask, "c")
    assert impatient.cancelled_caught
    assert sorted(found) == [b"a", b"c"]
    assert world.client.trouble() is None


async def test_a_silent_store_costs_the_first_50_ms_and_the_next_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: None).connected()
    reason, seconds = await lost(world)
    assert reason == "the store did not answer in time"
    assert seconds == pytest.approx(0.05)
    world.fake.up = False
    await wait_all_tasks_blocked()
    assert (await lost(world))[1] == 0


async def test_everybody_who_waits_hears_of_a_failure_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: None).connected()
    took = []

    async def ask(after: float) -> None:
        await trio.sleep(after)
        took.append((await lost(world))[1])

    async with trio.open_nursery() as asking:
        for number in range(50):
            asking.start_soon(ask, number / 1000)
    assert max(took) == pytest.approx(0.05)
    assert world.client.counts.lost == 50


async def test_a_request_loses_50_ms_in_all_however_often_it_asks(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.delay = 0.02
    patience = Patience(0.05)
    began = trio.current_time()
    for _ in range(2):
        await world.client.run(GET, patience)
    await lost(world, patience)
    assert trio.current_time() - began == pytest.approx(0.05)
    reason, seconds = await lost(world, patience)
    assert (reason, seconds) == ("the request has lost its time to the store already", 0)


async def test_who_has_little_patience_is_not_kept_by_those_with_more(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: None).connected()
    nursery.start_soon(lost, world)
    await wait_all_tasks_blocked()
    _, seconds = await lost(world, Patience(0.01))
    assert seconds == pytest.approx(0.01)


async def test_an_operation_that_is_refused_harms_no_other(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    def answer(words: list[bytes]) -> bytes:
        return b"-OOM command not allowed\r\n" if words[0] == b"SET" else echo(words)

    world = await World(nursery, answer).connected()
    with pytest.raises(StoreRefused, match="OOM command not allowed") as refused:
        await world.client.run(command("SET", "a", "1"))
    assert refused.value.code == "OOM"
    assert await world.client.run(GET) == b"a"
    assert world.client.counts.refused == 1


async def test_of_many_the_one_that_is_refused_is_told_and_takes_no_answer_from_later_ones(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    def refuse(words: list[bytes]) -> bytes:
        return b"-WRONGTYPE no\r\n" if words[1] == b"bad" else echo(words)

    world = await World(nursery).connected()
    world.fake.answer = refuse
    patience = Patience(1)
    for names in (["bad", "a", "b"], ["a", "bad", "b"], ["a", "b", "bad"]):
        with pytest.raises(StoreRefused):
            await world.client.run_many([command("GET", each) for each in names], patience)
        assert await world.client.run(GET) == b"a"
    counts = world.client.counts
    assert (counts.answered, counts.refused, counts.lost, counts.passed_by) == (3, 9, 0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"-LOADING Valkey is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\xff\x00\xff",
        b"$99999999999999999999\r\n",
        b"*-7\r\n",
        b"+OK\r\n+OK\r\n",
    ],
)
async def test_a_store_that_cannot_serve_or_answers_garbage_is_passed_by_without_a_wait(
    nursery: trio.Nursery, autojump_clock: MockClock, answer: bytes
) -> None:
    world = await World(nursery, lambda _: answer).connected()
    if answer.startswith(b"+OK"):  # twice as many answers as questions
        assert await world.client.run(GET) == b"OK"
    else:
        assert (await lost(world))[1] < 0.05
    await wait_all_tasks_blocked()
    assert world.changes[1].state == "passed_by"


async def test_a_store_that_goes_and_comes_back_is_told_of_once_each(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.up = False
    await world.fake.cut()
    await trio.sleep(30)
    for _ in range(1000):
        assert (await lost(world))[1] == 0
    world.fake.up = True
    assert await world.client.usable(5)
    assert await world.client.run(GET) == b"a"
    assert world.changes == [
        Change("fake", "usable", "not connected yet"),
        Change("fake", "passed_by", "the store closed the connection"),
        Change("fake", "usable", "no connection"),
    ]
    assert len(world.fake.dials) < 30
    assert world.client.counts.passed_by == 1000


async def test_a_script_that_the_store_forgot_is_sent_again_with_its_source(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    known: set[bytes] = set()

    def answer(words: list[bytes]) -> bytes:
        if words[0] == b"EVALSHA" and words[1] not in known:
            return b"-NOSCRIPT No matching script.\r\n"
        if words[0] == b"EVAL":
            known.add(script.sha.encode())
        return b":1\r\n"

    script = Script("return 1")
    world = await World(nursery, answer).connected()
    async with trio.open_nursery() as asking:
        for _ in range(10):
            asking.start_soon(world.client.run, script.on(["a"]))
    assert await world.client.run(script.on(["a"])) == 1
    commands = [words[0] for piece in world.fake.pieces for words in piece]
    assert commands == [b"EVALSHA"] * 10 + [b"EVAL"] * 10 + [b"EVALSHA"]


async def test_a_store_that_never_knows_a_script_is_asked_twice_and_no_more(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: b"-NOSCRIPT No matching script.\r\n").connected()
    with pytest.raises(StoreRefused):
        await world.client.run(Script("return 1").on(["a"]))


async def test_there_is_a_bound_on_what_waits(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: None).connected()
    waited = []

    async def ask_much() -> None:
        with pytest.raises(StoreUnavailable) as told:
            await world.client.run_many([GET] * (MOST_WAITING // 10))
        waited.append(str(told.value))

    async with trio.open_nursery() as asking:
        for _ in range(10):
            asking.start_soon(ask_much)
        await wait_all_tasks_blocked()
        for _ in range(5):
            assert await lost(world) == ("too many operations wait for the store", 0)
    assert waited == ["the store did not answer in time"] * 10


async def test_what_is_no_argument_is_a_mistake_of_the_callers_and_harms_nobody(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    with pytest.raises(TypeError):
        await world.client.run(command("SET", "a", None))  # type: ignore[arg-type]
    assert await world.client.run(GET) == b"a"


async def test_latencies_are_counted_by_bucket(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.delay = 0.02
    await world.client.run(GET)
    counts = world.client.statistics().counts
    assert (sum(counts.buckets), counts.buckets[5]) == (1, 1)
    assert counts.seconds == pytest.approx(0.02)
