"""Bodies that come slowly, or not to their end: for how long, and how much of them is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
import trio
import trio.testing

from sluice.http.edge_settings import EdgeSettings
from sluice.http.http1.bodies import Bodies
from sluice.http.http1.body_reader import BodyReader
from sluice.http.http1.head import Request
from sluice.http.http1.refusals import Refused
from sluice.http.http1.wire import Wire

SETTINGS = EdgeSettings(body_timeout=20.0)


class SlowWire:
    """Pieces, each after some seconds; then nothing. ``late``: as if the event loop were late."""

    def __init__(self, *pieces: tuple[float, bytes], late: bool = False) -> None:
        self._pieces = list(pieces)
        self._late = late

    def take(self) -> bytes:
        return b""

    def push(self, data: bytes) -> None:
        raise AssertionError(data)

    async def receive(self) -> bytes:
        if not self._pieces:
            await trio.sleep_forever()
        after, piece = self._pieces.pop(0)
        with trio.CancelScope(shield=self._late):
            await trio.sleep(after)
        return piece


def reader(
    *pieces: tuple[float, bytes], bodies: Bodies | None = None, late: bool = False
) -> BodyReader:
    request = Request("POST", b"/", "/", b"", "1.1", [], 1_000_000, True, False)
    wire = cast("Wire", SlowWire(*pieces, late=late))
    return BodyReader(wire, request, SETTINGS, bodies or Bodies(10**9))


async def read_all(body: BodyReader) -> None:
    while not body.complete:
        await body.read()


async def until_refused(body: BodyReader) -> float:
    """Seconds until it is refused as too slow."""
    began = trio.current_time()
    with pytest.raises(Refused, match="did not arrive in time"):
        await read_all(body)
    return trio.current_time() - began


async def test_what_came_quickly_is_no_reason_to_wait_long_for_the_rest(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert await until_refused(reader((0, b"a" * 999_999))) == pytest.approx(20.0)


async def test_a_body_that_keeps_coming_has_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pieces = [(15.0, b"a" * 10_000)] * 20
    assert await until_refused(reader(*pieces)) == pytest.approx(320.0)


async def test_a_trickle_is_ended_though_it_never_stops(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert await until_refused(reader(*[(1.0, b"a")] * 100)) == pytest.approx(20.0, abs=0.5)


async def test_bytes_that_are_seen_too_late_end_it_in_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert await until_refused(reader((21.0, b"a"), late=True)) == pytest.approx(21.0)


async def together(bodies: Bodies, senders: Sequence[BodyReader]) -> list[float]:
    """When each of ``senders`` was refused, all at once."""
    ended = [0.0] * len(senders)

    async def run(index: int) -> None:
        ended[index] = await until_refused(senders[index])

    async with trio.open_nursery() as nursery:
        for index in range(len(senders)):
            nursery.start_soon(run, index)
    return ended


async def test_of_all_that_is_held_who_holds_most_for_longest_goes_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bodies = Bodies(1000)
    holds_most = reader((0, b"a" * 600), bodies=bodies)
    holds_little = reader((0, b"a" * 10), bodies=bodies)
    comes_later = reader((5.0, b"a" * 500), bodies=bodies)
    ended = await together(bodies, [holds_most, holds_little, comes_later])
    assert ended == pytest.approx([5.0, 20.0, 20.0 + 500 / 500], abs=0.1)


async def test_what_is_complete_or_given_up_is_not_held(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bodies = Bodies(10**7)
    whole = reader((0, b"a" * 600_000), (1.0, b"a" * 400_000), bodies=bodies)
    await whole.read()
    given_up = reader((0, b"a" * 10), bodies=bodies)
    await given_up.read()
    assert repr(bodies) == "<Bodies: 600010 bytes of 2>"
    await whole.read()
    given_up.close()
    assert repr(bodies) == "<Bodies: 0 bytes of 0>"
