"""Operations of a script that are sent together: each has its own answer, on virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from tests.actors.store.fake_store import World
from trio.testing import MockClock

from sluice.actors.store import Op, Patience, Script, StoreRefused, StoreUnavailable, command
from sluice.actors.store.link import MOST_WAITING
from sluice.actors.store.together import MOST

ONE, MANY, OTHER = Script("return one"), Script("return many"), Script("return other")


def doubling(name: str, number: int, together: Script = MANY) -> Op:
    """Its answer is the key and twice the number."""
    return ONE.on([name], number, together=together)


def double(words: list[bytes]) -> bytes:
    """Answers as such a script would, for one key or for many."""
    if words[0] not in {b"EVALSHA", b"EVAL"}:
        return b"+OK\r\n"
    count = int(words[2])
    keys, numbers = words[3 : 3 + count], words[3 + count :]
    found = [
        b"*2\r\n$%d\r\n%b\r\n:%d\r\n" % (len(key), key, 2 * int(number))
        for key, number in zip(keys, numbers, strict=True)
    ]
    one = words[1] in {ONE.sha.encode(), ONE.source.encode()}
    return found[0] if one else b"*%d\r\n%b" % (len(found), b"".join(found))


def forgetful(words: list[bytes]) -> bytes:
    """Likewise, if it is sent the source."""
    return b"-NOSCRIPT none\r\n" if words[0] == b"EVALSHA" else double(words)


async def ask_all(world: World, ops: list[Op]) -> dict[int, object]:
    """Ask for all at the same time; what became of each."""
    found: dict[int, object] = {}

    async def ask(number: int, op: Op) -> None:
        try:
            found[number] = await world.client.run(op)
        except StoreUnavailable as problem:
            found[number] = problem

    async with trio.open_nursery() as asking:
        for number, op in enumerate(ops):
            asking.start_soon(ask, number, op)
    return found


def scripts(world: World) -> list[list[bytes]]:
    """What arrived of scripts."""
    return [words for piece in world.fake.pieces for words in piece if words[0].startswith(b"EVAL")]


async def test_those_of_one_turn_are_one_operation_and_each_has_its_own_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, double).connected()
    ops = [doubling(f"key-{number % 3}", number) for number in range(10)]
    assert await ask_all(world, ops) == {
        number: [b"key-%d" % (number % 3), 2 * number] for number in range(10)
    }
    (words,) = scripts(world)
    assert words[:3] == [b"EVALSHA", MANY.sha.encode(), b"10"]


async def test_one_alone_is_asked_as_it_is(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, double).connected()
    assert await world.client.run(doubling("a", 4)) == [b"a", 8]
    assert scripts(world) == [[b"EVALSHA", ONE.sha.encode(), b"1", b"a", b"4"]]


async def test_others_that_are_sent_between_them_have_their_own_answers_too(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, double).connected()
    ops = [doubling("a", 1), command("SET", "b", ""), doubling("c", 2), doubling("d", 3, OTHER)]
    assert await ask_all(world, ops) == {0: [b"a", 2], 1: b"OK", 2: [b"c", 4], 3: [b"d", 6]}
    assert await world.client.run_many(ops) == [[b"a", 2], b"OK", [b"c", 4], [b"d", 6]]


async def test_no_more_than_a_few_become_one(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, double).connected()
    found = await ask_all(world, [doubling("a", number) for number in range(2 * MOST + 1)])
    assert [found[number] for number in range(2 * MOST + 1)] == [
        [b"a", 2 * number] for number in range(2 * MOST + 1)
    ]
    assert [int(words[2]) for words in scripts(world)] == [MOST, MOST, 1]


@pytest.mark.parametrize("count", [1, 3])
async def test_a_script_that_the_store_does_not_have_is_sent_again_with_its_source(
    count: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, forgetful).connected()
    ops = [doubling("a", number) for number in range(count)]
    assert await ask_all(world, ops) == {number: [b"a", 2 * number] for number in range(count)}
    sent = MANY if count > 1 else ONE
    assert [words[1] for words in scripts(world)] == [sent.sha.encode(), sent.source.encode()]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: b"-ERR it is wrong\r\n", StoreRefused),
        (lambda _: b"-LOADING not yet\r\n", StoreUnavailable),
        (lambda _: None, StoreUnavailable),
    ],
)
async def test_what_befalls_the_one_befalls_all_of_them(
    answer: Callable[[list[bytes]], bytes | None],
    error: type[StoreUnavailable],
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> None:
    world = await World(nursery).connected()
    world.fake.answer = answer
    found = await ask_all(world, [doubling("a", number) for number in range(5)])
    assert [type(found[number]) for number in range(5)] == [error] * 5


@pytest.mark.parametrize("answer", [b"*2\r\n:1\r\n:2\r\n", b"$-1\r\n", b":1\r\n"])
async def test_a_store_that_answers_fewer_than_it_was_asked_is_passed_by(
    answer: bytes, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery).connected()
    world.fake.answer = lambda _: answer
    found = await ask_all(world, [doubling("a", number) for number in range(3)])
    assert [type(found[number]) for number in range(3)] == [StoreUnavailable] * 3
    assert "as many" in str(found[0])
    assert [change.state for change in world.changes] == ["usable", "passed_by"]
    world.fake.answer = double
    assert await world.client.usable(10)
    assert await world.client.run(doubling("a", 1)) == [b"a", 2]


def test_what_is_no_argument_is_seen_before_others_are_sent_with_it() -> None:
    with pytest.raises(TypeError):
        ONE.on(["a"], None, together=MANY)  # type: ignore[arg-type]


async def test_the_least_patient_is_not_kept_by_those_it_was_sent_with(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, lambda _: None).connected()
    began = trio.current_time()
    took = []

    async def ask(patience: float) -> None:
        with pytest.raises(StoreUnavailable):
            await world.client.run(doubling("a", 1), Patience(patience))
        took.append(trio.current_time() - began)

    async with trio.open_nursery() as asking:
        for patience in (0.05, 0.01, 0.04):
            asking.start_soon(ask, patience)
    assert took == [pytest.approx(0.01)] * 3


async def test_who_is_cancelled_takes_no_answer_from_the_others(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, double).connected()
    world.fake.delay = 0.02
    found = {}

    async def ask(name: str, patience: float) -> None:
        with trio.move_on_after(patience):
            found[name] = await world.client.run(doubling(name, 1))

    async with trio.open_nursery() as asking:
        for name, patience in (("a", 1), ("b", 0.01), ("c", 1)):
            asking.start_soon(ask, name, patience)
    assert found == {"a": [b"a", 2], "c": [b"c", 2]}


async def test_each_of_them_counts_among_what_may_wait_as_long_as_it_does(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    world = await World(nursery, forgetful).connected()
    await ask_all(world, [doubling("a", number) for number in range(3)])
    world.fake.answer = double
    world.fake.delay = 0.01
    found = await ask_all(world, [doubling("a", number) for number in range(MOST_WAITING + 3)])
    refused = [each for each in found.values() if isinstance(each, StoreUnavailable)]
    assert len(refused) == 3
    assert "too many" in str(refused[0])
    assert await world.client.run(doubling("a", 1)) == [b"a", 2]
