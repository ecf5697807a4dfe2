"""What is said on the control WebSocket, and how it looks to people."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.control import protocol
from sluice.ops.control.protocol import (
    BreakerStatus,
    Done,
    Error,
    Event,
    Figures,
    Happened,
    Node,
    Outcome,
    ProcessStatus,
    ProviderFigures,
    Refused,
    Restart,
    ServiceStatus,
    SetLevel,
    frame,
    read_command,
    read_frame,
)
from sluice.ops.control.snapshot import Snapshot
from sluice.ops.control.top_view import View
from sluice.ops.control.top_view import frame as top_frame
from sluice.ops.control.views import (
    breaker_line,
    event_lines,
    outcome_line,
    span,
    status_lines,
    tree_lines,
)

METRICS = Node(
    path="metrics", id="metrics", kind="Metrics", process="a", state="paused",
    incarnation=3, restarts=2, waiting=7, uptime=70.0, handled=9,
)  # fmt: skip
ROOT = Node(
    path="", id="root", kind="supervisor", process="a", state="running", incarnation=1,
    restarts=0, strategy="one_for_one", children=(METRICS,),
)  # fmt: skip
STATUS = ServiceStatus(
    state="serving", version="1", uptime=5.0, addresses=("127.0.0.1:1",), streams=3,
    connections=50, connection_limit=100, actors=1, crashes=0, restarts=0, log_level="info",
    processes=tuple(
        ProcessStatus(f"worker-{n}", n, "serving", 1.0, 3) for n in range(2)
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        protocol.Status(1),
        protocol.Tree(2),
        Restart(3, "streams@worker-1"),
        protocol.Pause(4, "a"),
        protocol.Resume(5, "a"),
        protocol.Stop(6, "workers/1"),
        protocol.Drain(7),
        SetLevel(8, "debug"),
        SetLevel(9),
        protocol.Look(10),
        protocol.Breaker(12, "openai", "open"),
        protocol.Breaker(13, "openai/gpt-4o"),
        protocol.Events(11),
    ],
)
def test_a_command_arrives_as_it_was_sent(command: protocol.Command) -> None:
    assert read_command(frame(command)) == command


@pytest.mark.parametrize(
    ("breaker", "line"),
    [
        (BreakerStatus("a", "closed"), "a: closed"),
        (BreakerStatus("a", "closed", failing=2), "a: closed, 2 failures in a row"),
        (BreakerStatus("a/m", "half_open"), "a/m: half open"),
        (BreakerStatus("a", "open", seconds=43.21), "a: open, a probe in 43.2s"),
        (BreakerStatus("a", "open", held=True), "a: open, until it is closed or reset"),
    ],
)
def test_a_breaker_has_one_line(breaker: BreakerStatus, line: str) -> None:
    assert breaker_line(breaker) == line


@pytest.mark.parametrize(
    "said",
    [
        Done(1, {"a": 1}),
        Error(2, "busy", "x"),
        Event(Happened(kind="x", at="", path="", process="")),
    ],
)
def test_a_frame_arrives_as_it_was_sent(said: protocol.Frame) -> None:
    assert read_frame(frame(said)) == said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ("[]", "object"),
        ('{"id": 1}', "command"),
        ('{"command": "explode", "id": 1}', "explode"),
        ('{"command": "restart", "id": 1}', "path"),
        ('{"command": "restart", "id": "1", "path": "x"}', "$.id"),
        ('{"command": "log-level", "id": 1, "level": "loud"}', "loud"),
        (b'{"command": "status", "id": 1}', "text frames"),
        ("[" * 100_000, ""),
    ],
)
def test_what_is_no_command_is_refused_with_what_is_wrong(text: str | bytes, why: str) -> None:
    with pytest.raises(Refused) as refused:
        read_command(text)
    assert refused.value.code == "invalid"
    assert why in str(refused.value)


@given(st.text())
def test_no_text_does_worse_than_be_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_command(text)


def test_a_tree_is_shown_with_what_an_operator_looks_for() -> None:
    head, root, metrics = tree_lines(ROOT)
    assert head.split() == ["STATE", "LIFE", "RESTARTS", "MAIL", "UP", "HANDLED"]
    assert root.split() == ["root", "running", "1", "0", "one_for_one"]
    assert metrics.split() == ["└─", "metrics", "paused", "3", "2", "7", "1m", "10s", "9"]


def test_a_crash_is_told_with_its_reason() -> None:
    report = {"reason": "KeyError: 'x'"}
    crash = Happened(kind="crashed", at="T", path="a", process="p", incarnation=2, report=report)
    assert event_lines(crash) == ["T  crashed      a #2 (KeyError: 'x')"]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Happened(kind="k", at="T", path="", process="host", incarnation=1), "root #1"),
        (Happened(kind="k", at="T", path="@w", process="w", incarnation=2), "root@w #2"),
        (
            Happened(kind="k", at="T", path="workers/w", process="host", generation=3),
            "workers/w #3",
        ),
        (Happened(kind="k", at="T", path="", process="w"), "root"),
    ],
)
def test_an_event_is_told_with_its_place_and_its_number(event: Happened, line: str) -> None:
    assert event_lines(event) == [f"T  k            {line}"]


def test_an_outcome_tells_a_processs_generation_or_an_actors_incarnation() -> None:
    done = Outcome("restarted", "workers/w", "running", 1, "process 7 serves", 0.5, 3)
    assert outcome_line(done) == (
        "workers/w: restarted in 0.500 s, now running, generation 3; process 7 serves"
    )
    done = Outcome("restarted", "metrics", "running", 2, "", 0.5)
    assert outcome_line(done) == "metrics: restarted in 0.500 s, now running, incarnation 2"


def test_what_there_is_one_of_is_told_in_the_singular() -> None:
    one = msgspec.structs.replace(
        STATUS,
        crashes=1,
        restarts=2,
        processes=(ProcessStatus("worker-1", 7, "serving", 1.0, 1),),
        breakers=(BreakerStatus("a", "closed", failing=1),),
    )
    text = "\n".join(status_lines(one))
    for said in ("1 crash, 2 restarts", " 1 stream,", "1 failure in a row"):
        assert said in text


def test_a_stopped_service_says_what_new_streams_are_answered() -> None:
    stopped = msgspec.structs.replace(STATUS, state="stopped")
    first, *_ = status_lines(stopped)
    assert first == "sluice 1: stopped, up 5.0s; new streams are answered 503"


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.84, "7.8s"), (61, "1m 1s"), (3661, "1h 1m"), (90_000, "1d 1h")]
)
def test_time_spans_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (20, 5), (200, 60), (1, 1)])
def test_a_frame_of_top_fits_its_terminal(width: int, height: int) -> None:
    many = tuple(METRICS for _ in range(100))
    providers = tuple(ProviderFigures("p" * 50, 1.0, 1.0, 1, 1) for _ in range(5))
    figures = Figures(interval=1.0, first_chunk_p50=0.05, providers=providers)
    root = Node(**{**{f: getattr(ROOT, f) for f in ROOT.__struct_fields__}, "children": many})
    now = Snapshot(status=STATUS, tree=root, figures=figures)
    rows = top_frame(View(now=now), width, height)
    assert len(rows) <= height
    assert all(len(row.text) <= width for row in rows)


def test_a_frame_of_top_shows_every_process_and_the_selected_actor() -> None:
    now = Snapshot(status=STATUS, tree=ROOT, figures=Figures(interval=0.0))
    text = "\n".join(row.text for row in top_frame(View(now=now, selected="metrics"), 80, 24))
    assert "worker-0" in text
    assert "worker-1" in text
    assert "> metrics" in text
    assert "connections 50 of 100 [##########..........]" in text
