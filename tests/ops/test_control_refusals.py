"""What an operator may not do, and what is said instead."""

from __future__ import annotations

import pytest

from sluice.ops.control.orders import Action
from sluice.ops.control.paths import Target
from sluice.ops.control.protocol import Refused
from sluice.ops.control.refusals import refuse, why_not


@pytest.mark.parametrize(
    ("action", "target", "instead"),
    [
        ("restart", Target(""), "`sluice restart workers` replaces all its workers"),
        ("stop", Target(""), "`sluice drain` ends it in order"),
        ("stop", Target("control", "worker-1"), "`sluice restart control@worker-1` restarts it"),
        ("pause", Target("control", "worker-1"), "operators reach worker-1 through it"),
        ("stop", Target("edge"), "`sluice stop streams` has it refuse new streams"),
        ("stop", Target("edge", "worker-1"), "`sluice stop workers/worker-1` stops its worker"),
    ],
)
def test_what_would_leave_clients_or_operators_alone_is_refused_with_what_to_do_instead(
    action: Action, target: Target, instead: str
) -> None:
    with pytest.raises(Refused) as refused:
        refuse(action, target, several=True)
    assert refused.value.code == "not_possible"
    assert str(refused.value).startswith(f"{target}: ")
    assert instead in str(refused.value)


@pytest.mark.parametrize(
    ("action", "target"),
    [
        ("pause", Target("")),  # the engine says what is below it
        ("restart", Target("edge")),
        ("restart", Target("control", "worker-1")),
        ("resume", Target("control", "worker-1")),
        ("stop", Target("control")),
        ("stop", Target("workers")),
        ("stop", Target("streams", "worker-1")),
        ("stop", Target("", "worker-1")),
    ],
)
def test_all_else_is_the_operators_to_decide(action: Action, target: Target) -> None:
    refuse(action, target, several=True)


def test_where_all_is_in_one_process_nobody_is_told_to_replace_workers() -> None:
    said = why_not("restart", Target(""), several=False)
    assert "workers" not in said
    assert "`sluice drain` ends it in order, and whoever started it starts it again" in said
