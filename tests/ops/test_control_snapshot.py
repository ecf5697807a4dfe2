"""What ``sluice top`` makes of two looks, and which actors it shows first."""

from __future__ import annotations

import msgspec
from tests.ops.test_control_protocol import METRICS, ROOT, STATUS

from sluice.ops.control.protocol import Figures, Happened, Node
from sluice.ops.control.snapshot import Snapshot, by_interest, since
from sluice.ops.control.terminal import keys_in
from sluice.ops.control.top_view import KEYS, View, frame

FIGURES = Figures(interval=1.0)
with_ = msgspec.structs.replace


def node(path: str, **fields: object) -> Node:
    return with_(METRICS, path=path, id=path, **{"state": "running", "waiting": 0, **fields})


def tree(*nodes: Node) -> Node:
    return with_(ROOT, children=nodes)


def test_cpu_and_messages_are_what_moved_by_the_seconds_between() -> None:
    first, second = STATUS.processes
    later = with_(STATUS, uptime=7.0, processes=(with_(first, cpu=1.0), with_(second, pid=99)))
    before = since(None, STATUS, tree(node("a", handled=10), node("b", handled=5)), FIGURES)
    assert (before.cpu, before.handled) == ({}, {})
    after = since(before, later, tree(node("a", handled=30), node("c", handled=1)), FIGURES)
    assert after.cpu == {"worker-0": 0.5}
    assert after.handled == {"a": 10.0}


def test_what_is_not_well_comes_first_then_what_is_busy() -> None:
    now = Snapshot(
        status=STATUS,
        tree=tree(
            node("calm"),
            node("busy"),
            node("full", waiting=30),
            node("paused", state="paused"),
            node("silent", note="does not answer"),
        ),
        figures=FIGURES,
        handled={"busy": 100.0, "calm": 0.1},
    )
    found = [each.path for each in by_interest(now)]
    assert found == ["paused", "silent", "full", "busy", "calm"]


def test_the_keys_stand_at_the_bottom_whatever_else_is_shown() -> None:
    events = tuple(Happened(kind="x", at="T", path="p", process="w") for _ in range(9))
    now = Snapshot(status=STATUS, tree=tree(*(node(str(n)) for n in range(99))), figures=FIGURES)
    for view in (View(), View(now=now), View(now=now, events=events, message="done")):
        for height in (3, 10, 24, 60):
            rows = frame(view, 80, height)
            assert len(rows) == height
            assert rows[-1].text == KEYS
            assert not view.message or rows[-2].text == view.message


def test_keys_that_come_together_are_all_heard() -> None:
    assert keys_in(b"jr\x1b[A\x1bOB\x1b[5~y \xff") == ["j", "r", "up", "down", "?", "y", " ", "�"]
