"""Events on their way to the host: in order, none twice, and what was dropped is missed."""

from __future__ import annotations

import pytest

from sluice.ops.control.box import BATCH, Box, Counter
from sluice.ops.control.desk import Desk
from sluice.ops.control.orders import Finished, Report
from sluice.ops.control.protocol import Happened, Outcome


def event(number: int, **fields: object) -> Happened:
    return Happened(**{"kind": "x", "at": "", "path": str(number), "process": "w", **fields})  # type: ignore[arg-type]


def paths(events: list[Happened]) -> list[int]:
    return [int(each.path) for each in events]


def test_a_box_gives_the_oldest_until_they_are_taken() -> None:
    box = Box()
    for number in range(1, BATCH + 3):
        box.put(event(number))
    assert (box.first, paths(box.batch())) == (1, list(range(1, BATCH + 1)))
    box.taken(BATCH)
    assert (box.first, paths(box.batch())) == (BATCH + 1, [BATCH + 1, BATCH + 2])
    box.taken(BATCH + 2)
    assert (len(box), box.first) == (0, BATCH + 3)


def test_the_oldest_make_room_and_are_missed() -> None:
    box, counter = Box(room=3), Counter()
    for number in range(1, 6):
        box.put(event(number))
    dropped, new = counter.new("w#1", box.first, box.batch())
    assert (dropped, paths(new)) == (2, [3, 4, 5])


def test_what_comes_twice_counts_once() -> None:
    counter = Counter()
    assert counter.new("w#1", 1, [event(1), event(2)]) == (0, [event(1), event(2)])
    assert counter.new("w#1", 1, [event(1), event(2), event(3)]) == (0, [event(3)])
    assert counter.new("w#1", 4, []) == (0, [])
    assert counter.new("w#2", 1, [event(1)]) == (0, [event(1)])


def test_what_does_not_fit_through_a_link_loses_its_report_and_keeps_its_reason() -> None:
    box = Box()
    box.put(event(1, report={"reason": "KeyError: 'x'", "state": "y" * 2000}))
    box.put(event(2, detail="z" * 5000))
    box.shorten()
    first, second = box.batch()
    assert (first.detail, first.report) == ("KeyError: 'x'", None)
    assert len(second.detail) == 1000


def test_who_listens_is_told_what_was_dropped_before_what_came() -> None:
    desk, heard = Desk(), list[Happened]()
    desk.listeners.add(heard.append)
    desk.reported(Report("worker-1#1", 3, [event(3)]))
    assert [each.kind for each in heard] == ["dropped", "x"]
    assert heard[0].detail.startswith("2 events of worker-1 were dropped")
    desk.reported(Report("worker-1#1", 5, [event(5)]))
    assert heard[2].detail.startswith("1 event of worker-1 was dropped")


@pytest.mark.parametrize("ended", [True, False])
async def test_an_order_is_waited_for_until_it_is_done_or_its_worker_has_ended(
    *, ended: bool
) -> None:
    desk = Desk()
    outcome = Outcome("restarted", "a@worker-1", "running", 2, "", 0.0)
    with desk.order() as waiting:
        waiting.process = "worker-1#1"
        desk.ended("worker-2#1")
        if ended:
            desk.ended("worker-1#1")
        desk.finished(Finished(waiting.number, outcome))
        finished = await waiting.wait()
    if ended:
        assert finished.refusal is not None
        assert finished.refusal.message == "worker-1 ended before it had answered"
    else:
        assert finished.outcome == outcome
    desk.finished(Finished(waiting.number, outcome))  # nobody waits any more
