"""Timeouts that never pass because of another one are no mistakes, and are told once each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.ops.config import load

PROVIDER = '[providers.openai]\nbase_url = "https://api.openai.com/v1"\n'
MODEL = '[models."{name}"]\nprovider = "openai"\n'

Told = Callable[..., list[str]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The notices of a text and variables, but for the one that there is no model."""
    monkeypatch.chdir(tmp_path)

    def told_of(text: str, **environment: str) -> list[str]:
        Path("sluice.toml").write_text(text)
        notices = load("sluice.toml", environment).notices
        return [str(notice) for notice in notices if notice.key != "models"]

    return told_of


@pytest.mark.parametrize(
    ("timeouts", "line"),
    [
        (
            "first_chunk = 20\ntotal = 19\nidle = 5\nheartbeat = 5",
            "2: timeouts.first_chunk: first_chunk = 20 has no effect: total = 19",
        ),
        ("total = 60\nidle = 60", "3: timeouts.idle: idle = 60 has no effect: total = 60"),
        (  # without effect for one reason, it is not told for another
            "connect = 60\ntotal = 60\nfirst_chunk = 9",
            "2: timeouts.connect: connect = 60 has no effect: total = 60",
        ),
        (
            "idle = 7200.5",
            "2: timeouts.idle: idle = 7200.5 has no effect: total = 3600 (the default)",
        ),
        (
            "heartbeat = 3600",
            (
                "2: timeouts.heartbeat: heartbeat = 3600 has no effect, no heartbeat is ever sent: "
                "total = 3600 (the default)"
            ),
        ),
        (
            "total = 20",
            "2: timeouts.total: idle = 30 (the default) has no effect: total = 20",
        ),
        (
            "connect = 12",
            (
                "2: timeouts.connect: connect = 12 has no effect on streams: first_chunk = 10 "
                "(the default)"
            ),
        ),
        (
            "first_chunk = 0.25",
            (
                "2: timeouts.first_chunk: connect = 5 (the default) has no effect on streams: "
                "first_chunk = 0.25"
            ),
        ),
    ],
)
def test_a_timeout_that_never_passes_is_told_with_both_values_and_the_line(
    told: Told, timeouts: str, line: str
) -> None:
    assert told(f"[timeouts]\n{timeouts}\n") == [f"sluice.toml:{line} always passes first"]


def test_each_timeout_without_effect_is_told_once(told: Told) -> None:
    keys = [one.split(": ")[2].partition(" ")[0] for one in told("[timeouts]\ntotal = 1\n")]
    assert keys == ["connect", "first_chunk", "idle", "heartbeat"]


@pytest.mark.parametrize(
    "timeouts",
    [
        "",
        "connect = 10",
        "idle = 1",
        "idle = 5\nheartbeat = 50",
        "heartbeat = 50",
        "client_write = 4000",
        "client_write = 1",
        "first_chunk = 100",
        "connect = 5\nfirst_chunk = 30\nidle = 30\nheartbeat = 30\ntotal = 31",
    ],
)
def test_timeouts_that_all_have_an_effect_are_not_told(told: Told, timeouts: str) -> None:
    assert told(f"[timeouts]\n{timeouts}\n{PROVIDER}{MODEL.format(name='a')}") == []


def test_models_that_inherit_a_contradiction_do_not_repeat_it(told: Told) -> None:
    models = "".join(MODEL.format(name=name) for name in "abc")
    own = MODEL.format(name="d") + "timeouts.client_write = 3\n"
    assert told(f"[timeouts]\nidle = 4000\n{PROVIDER}{models}{own}") == [
        (
            "sluice.toml:2: timeouts.idle: idle = 4000 has no effect: total = 3600 (the default) "
            "always passes first"
        )
    ]


def test_a_model_with_its_own_contradiction_is_told_with_its_line(told: Told) -> None:
    a = MODEL.format(name="gpt-4.1") + "[models.'gpt-4.1'.timeouts]\nidle = 50\n"
    b = MODEL.format(name="b") + "timeouts = { total = 40 }\n"
    assert told(f"[timeouts]\ntotal = 45\nidle = 42\n{PROVIDER}{a}{b}") == [
        (
            'sluice.toml:9: models."gpt-4.1".timeouts.idle: idle = 50 has no effect: total = 45 '
            "(from [timeouts]) always passes first"
        ),
        (
            "sluice.toml:12: models.b.timeouts.total: idle = 42 (from [timeouts]) has no effect: "
            "total = 40 always passes first"
        ),
    ]


def test_a_model_is_told_what_it_has_of_its_provider(told: Told) -> None:
    model = MODEL.format(name="a") + "timeouts.idle = 50\n"
    assert told(f"{PROVIDER}timeouts = {{ total = 45, idle = 5 }}\n{model}") == [
        (
            "sluice.toml:6: models.a.timeouts.idle: idle = 50 has no effect: total = 45 "
            "(from its provider) always passes first"
        )
    ]
    assert told(f"{PROVIDER}timeouts.idle = 4000\n{MODEL.format(name='a')}") == [
        (
            "sluice.toml:3: providers.openai.timeouts.idle: idle = 4000 has no effect: "
            "total = 3600 (the default) always passes first"
        )
    ]


def test_a_model_that_mends_what_it_inherits_is_not_told(told: Told) -> None:
    mended = MODEL.format(name="a") + "timeouts.total = 5000\n"
    assert len(told(f"[timeouts]\nidle = 4000\n{PROVIDER}{mended}")) == 1


def test_a_variable_is_told_by_its_name(told: Told) -> None:
    (one,) = told("", SLUICE_TIMEOUTS__IDLE="4000")
    assert one.startswith("SLUICE_TIMEOUTS__IDLE: timeouts.idle: idle = 4000 has no effect: ")
