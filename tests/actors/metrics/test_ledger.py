"""The ledger keeps what is entered, in order and within bounds, until it is read."""

from __future__ import annotations

import trio
import trio.testing
from tests.actors.metrics.test_metrics import REPORT

from sluice.actors.metrics.ledger import Entry, Ledger


async def test_entries_are_read_in_their_order_with_the_time_they_were_made(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ledger, begin = Ledger(), trio.current_time()
    ledger.enter(REPORT)
    await trio.sleep(2)
    ledger.enter(REPORT)
    assert [ledger.read(), ledger.read(), ledger.read()] == [
        Entry(begin, REPORT),
        Entry(begin + 2, REPORT),
        None,
    ]


async def test_a_full_ledger_counts_what_it_cannot_keep() -> None:
    await trio.lowlevel.checkpoint()
    ledger = Ledger(capacity=2)
    for _ in range(5):
        ledger.enter(REPORT)
    assert (len(ledger), ledger.lost) == (2, 3)
    ledger.read()
    ledger.enter(REPORT)
    assert (len(ledger), ledger.lost) == (2, 3)


async def test_a_reader_waits_only_while_there_is_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ledger, begin = Ledger(), trio.current_time()

    async def enter_later() -> None:
        await trio.sleep(3)
        ledger.enter(REPORT)
        ledger.enter(REPORT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter_later)
        await ledger.wait()
        await ledger.wait()
        assert trio.current_time() == begin + 3
        assert ledger.read()
        assert ledger.read()
        with trio.move_on_after(10) as waiting:
            await ledger.wait()
        assert waiting.cancelled_caught
