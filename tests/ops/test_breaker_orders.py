"""What operators are told of the breakers: names that do not exist, transitions, health."""

from __future__ import annotations

import pytest

from sluice.actors.breakers.breaker import State
from sluice.actors.breakers.circuits import Change
from sluice.ops import cli
from sluice.ops.breakers import detail_of, health_of
from sluice.ops.control.breaking import nothing_called

KNOWN = ("openai", "openai/gpt-4o", "anthropic")


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("opnai", KNOWN, "did you mean openai?"),
        ("zzz", KNOWN, "there are: openai, openai/gpt-4o, anthropic"),
        ("openai/gpt-4", KNOWN, "did you mean openai/gpt-4o?"),
        ("a", (), "no provider is configured"),
    ],
)
def test_a_breaker_that_does_not_exist_is_answered_with_those_that_do(
    name: str, known: tuple[str, ...], said: str
) -> None:
    told = nothing_called(name, known)
    assert told.startswith(f"there is no circuit breaker {name!r}")
    assert told.endswith(said)


def test_a_transition_is_told_with_its_reason_and_how_long_it_lasts() -> None:
    opened = Change("a", "closed", "open", "5 consecutive failures", held=False, cooldown=60)
    assert detail_of(opened) == "a, for 60 s: 5 consecutive failures"
    closed = Change("a", "half_open", "closed", "its probe succeeded", held=False, cooldown=60)
    assert detail_of(closed) == "a: its probe succeeded"


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "ok"),
        (["closed", "closed"], "ok"),
        (["closed", "open"], "degraded"),
        (["half_open"], "degraded"),
        (["open", "half_open"], "degraded"),
        (["open", "open"], "down"),
    ],
)
def test_a_provider_is_down_only_if_none_of_its_models_may_be_called(
    states: list[State], said: str
) -> None:
    assert health_of(states) == said


def test_an_order_that_does_not_exist_is_told_those_that_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["breaker", "openai", "ajar"])
    assert ended.value.code == cli.USAGE
    assert "'open', 'close', 'reset'" in capsys.readouterr().err
