from __future__ import annotations

import pytest
import trio
import trio.testing

from sluice.actors.streams.scan import Scan, tick_for


class Waiter:
    def __init__(self, at: float) -> None:
        self.look_at = at
        self.found: list[float] = []

    def on_due(self, now: float) -> None:
        self.found.append(now)
        self.look_at = now + 100


async def test_what_is_due_is_found_within_a_tick_and_what_is_not_is_left_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    scan, now = Scan(0.5), trio.current_time()
    soon, late = Waiter(now + 2), Waiter(now + 1000)
    scan.add(soon)
    scan.add(late)
    with trio.move_on_after(10):
        await scan.run()
    assert len(soon.found) == 1
    assert now + 2 <= soon.found[0] <= now + 2.5
    assert late.found == []


async def test_what_was_removed_is_not_looked_at(autojump_clock: trio.testing.MockClock) -> None:
    scan = Scan(0.5)
    gone = Waiter(trio.current_time())
    scan.add(gone)
    scan.remove(gone)
    scan.remove(gone)
    with trio.move_on_after(10):
        await scan.run()
    assert gone.found == []
    assert len(scan) == 0


def test_one_that_removes_another_while_it_is_looked_at_harms_nobody() -> None:
    scan = Scan(0.5)
    second = Waiter(0)

    class First(Waiter):
        def on_due(self, now: float) -> None:
            super().on_due(now)
            scan.remove(second)

    first = First(0)
    scan.add(first)
    scan.add(second)
    scan.look(1)
    scan.look(2)
    assert len(first.found) == 1
    assert len(second.found) <= 1


@pytest.mark.parametrize(
    ("durations", "tick"),
    [([30, 15, 10], 0.5), ([1, 30], 0.1), ([0.01], 0.01), ([], 0.5)],
)
def test_a_tick_is_a_tenth_of_the_shortest_wait_in_bounds(
    durations: list[float], tick: float
) -> None:
    assert tick_for(durations) == pytest.approx(tick)
