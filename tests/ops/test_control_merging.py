"""One tree and one status of a host and its workers, whoever answers."""

from __future__ import annotations

import os

import msgspec
from tests.ops.test_control_protocol import METRICS, ROOT

from sluice.ops.control.merging import Generation, process_status, whole_tree
from sluice.ops.control.orders import Surveyed
from sluice.ops.control.protocol import Node
from sluice.ops.control.usage import Usage, usage_of
from sluice.ops.control.views import tree_lines

with_ = msgspec.structs.replace
ANSWER = Surveyed("serving", 9.0, 2, 0, 0, with_(ROOT, children=(with_(METRICS, pid=7),)))


def worker(name: str) -> Node:
    return with_(METRICS, path=f"workers/{name}", id=name, kind="Process", state="running")


HOST = with_(
    ROOT,
    pid=1,
    children=(
        with_(METRICS, pid=1),
        with_(ROOT, path="workers", id="workers", pid=1, children=(worker("a"), worker("b"))),
    ),
)
GENERATIONS = {"a": Generation("a", 7, 3), "b": Generation("b", 8, 1)}


def test_a_workers_actors_stand_below_it_with_the_generation_of_its_process() -> None:
    whole = whole_tree(HOST, {"a": ANSWER, "b": "does not answer"}, GENERATIONS)
    a, b = whole.children[1].children
    assert (a.process, a.pid, a.generation, a.uptime) == ("a", 7, 3, 9.0)
    assert a.incarnation == METRICS.incarnation  # its minder's, which lives on
    assert a.children == ANSWER.tree.children
    assert (b.process, b.pid, b.note, b.children) == ("b", 8, "does not answer", ())
    assert whole.children[0] == HOST.children[0]


def test_a_tree_tells_the_id_of_each_process_once_and_who_does_not_answer() -> None:
    lines = tree_lines(whole_tree(HOST, {"a": ANSWER, "b": "does not answer"}, GENERATIONS))
    assert [line.count("(pid") for line in lines] == [0, 1, 0, 0, 1, 0, 1]
    assert "(pid 7, generation 3)" in lines[4]
    assert lines[-1].endswith("does not answer")


def test_a_process_is_serving_or_draining_or_down_or_does_not_answer() -> None:
    usage = Usage(1.5, 1024)
    answers = process_status(GENERATIONS["a"], ANSWER, usage, 4)
    assert (answers.name, answers.state, answers.uptime) == ("a", "serving", 9.0)
    assert (answers.streams, answers.cpu, answers.memory) == (4, 1.5, 1024)
    silent = process_status(GENERATIONS["a"], "does not answer", usage, 4)
    assert (silent.state, silent.streams) == ("not answering", 4)
    old = process_status(Generation("a", 6, 2, draining=True), ANSWER, usage, 1)
    assert (old.name, old.state) == ("a#2", "draining")
    assert process_status(Generation("a", None, 2), "no process", Usage(), 0).state == "down"


def test_what_a_process_uses_is_read_of_any_and_nothing_of_one_that_has_gone() -> None:
    assert usage_of(os.getpid()).memory > 1 << 20
    assert usage_of(None) == usage_of(2**22 + 1) == Usage()
