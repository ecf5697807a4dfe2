"""How operators name actors, and what they meant who named one that is not there."""

from __future__ import annotations

import pytest

from sluice.ops.control.nearest import nearest, nothing_at
from sluice.ops.control.paths import Target, target_of

WORKERS = ["worker-1", "worker-2"]
KNOWN = [
    "",
    "metrics",
    "connections",
    "workers/worker-1",
    "metrics@worker-1",
    "providers/openai@worker-1",
    "streams@worker-1",
    "metrics@worker-2",
    "streams@worker-2",
]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("metrics", Target("metrics")),
        ("metrics@host", Target("metrics")),
        ("root", Target("")),
        ("host", Target("")),
        ("workers/worker-1", Target("workers/worker-1")),
        ("workers/worker-9/streams", Target("workers/worker-9/streams")),
        ("streams@worker-1", Target("streams", "worker-1")),
        ("root@worker-2", Target("", "worker-2")),
        ("workers/worker-2/providers/openai", Target("providers/openai", "worker-2")),
        ("streams@worker-9", None),
        ("streams@", None),
    ],
)
def test_a_path_leads_to_an_actor_of_the_host_or_of_a_worker(
    path: str, target: Target | None
) -> None:
    assert target_of(path, "host", WORKERS) == target


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("edge@worker-1", True),
        ("streams@worker-1", True),
        ("root@worker-1", True),
        ("metrics@worker-1", False),
        ("providers@worker-1", False),
        ("metrics", False),
        ("root", False),
    ],
)
def test_in_a_worker_the_edge_the_streams_and_the_root_hold_connections(
    path: str, *, holds: bool
) -> None:
    target = target_of(path, "host", WORKERS)
    assert target is not None
    assert target.holds_connections is holds


@pytest.mark.parametrize("path", ["metrics", "root", "streams@worker-1", "root@worker-1"])
def test_a_target_is_told_as_operators_write_it(path: str) -> None:
    assert str(target_of(path, "host", WORKERS)) == path


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("streams", ["streams@worker-1", "streams@worker-2"]),
        ("openai", ["providers/openai@worker-1"]),
        ("metrcs@worker-2", ["metrics@worker-2", "metrics", "metrics@worker-1"]),
        ("worker-1", ["workers/worker-1"]),
        ("nobody", []),
        ("", []),
    ],
)
def test_what_was_meant_is_the_same_name_elsewhere_or_one_like_it(
    path: str, meant: list[str]
) -> None:
    assert nearest(path, KNOWN) == meant


def test_without_anything_like_it_all_paths_are_told_or_where_they_are_seen() -> None:
    assert nothing_at("nobody", KNOWN[:3]) == (
        "there is nothing at 'nobody'; there are: metrics, connections"
    )
    many = [*KNOWN, *(f"shares@worker-{number}" for number in range(100))]
    assert nothing_at("nobody", many) == (
        "there is nothing at 'nobody'; there are: metrics, connections, workers/worker-1;"
        " `sluice tree` shows all 108"
    )
    assert nothing_at("streams", KNOWN).endswith(
        "did you mean streams@worker-1 or streams@worker-2?"
    )
