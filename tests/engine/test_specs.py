"""Specifications, and the nonsense that is rejected when it is declared.

A child has an id, a start, a restart type (permanent, transient or temporary), a shutdown time
and a significance. Nonsense combinations are rejected when declared.
"""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from sluice.engine import Actor, ChildSpec, Mailbox, SupervisorSpec


def child(name: str = "a", **spec: Any) -> ChildSpec:
    return ChildSpec(name, Actor, **spec)


@pytest.mark.parametrize(
    ("nonsense", "why"),
    [
        ({"name": ""}, "part of a path"),
        ({"name": "a/b"}, "part of a path"),
        ({"restart": "sometimes"}, "no such restart"),
        ({"shutdown": 0}, "shutdown must be positive"),
        ({"shutdown": -1}, "shutdown must be positive"),
        ({"start_timeout": 0}, "start_timeout must be positive"),
        ({"restart": "permanent", "significant": True}, "never ends by itself"),
    ],
)
def test_a_child_that_makes_no_sense_is_rejected(nonsense: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        child(**nonsense)


def test_a_factory_that_cannot_be_called_is_rejected() -> None:
    with pytest.raises(TypeError, match="must be callable"):
        ChildSpec("a", Actor())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nonsense", "why"),
    [
        ({"strategy": "all_for_one"}, "no such strategy"),
        ({"auto_shutdown": "maybe"}, "no such auto_shutdown"),
        ({"intensity": -1}, "intensity"),
        ({"period": 0}, "period"),
        ({"restart": "temporary", "significant": True, "shutdown": -1}, "shutdown"),
        ({"children": [child("a"), child("a")]}, "two children have the id 'a'"),
        ({"children": [child("a", restart="transient", significant=True)]}, "auto_shutdown is"),
    ],
)
def test_a_supervisor_that_makes_no_sense_is_rejected(nonsense: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SupervisorSpec(**{"id": "s", "children": [], **nonsense})


def test_a_child_may_be_waited_for_for_ever_or_not_at_all() -> None:
    assert child(shutdown=inf).shutdown == inf
    assert child(shutdown=None).shutdown is None


@pytest.mark.parametrize(
    ("nonsense", "why"), [({"capacity": 0}, "at least one"), ({"overflow": "x"}, "policy")]
)
def test_a_mailbox_that_makes_no_sense_is_rejected(nonsense: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Mailbox(**nonsense)
