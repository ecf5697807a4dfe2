"""The command `sluice bench`."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.ops.bench import command, envoy, load, nginx, plan, programs
from sluice.ops.bench.bench import Bench
from sluice.ops.bench.results import Ask, Machine, Results

MACHINE = Machine(2, "3.11.7", optimized=True, kernel="6.1", descriptors=20000, one_core=False)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def finding(monkeypatch: pytest.MonkeyPatch, found: Results) -> None:
    monkeypatch.setattr(command, "_measure", lambda _: found)


def test_a_missed_target_fails_the_command_only_when_asked_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding(monkeypatch, Results(MACHINE, asks=[Ask(1, 8)]))
    assert command.run(arguments()) == 0
    assert command.run(arguments("--check")) == 1
    assert "MISSED" in capsys.readouterr().out


def test_all_rounds_are_written_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finding(monkeypatch, Results(MACHINE, asks=[Ask(1, 5), Ask(2, 9)]))
    file = tmp_path / "found.json"
    assert command.run(arguments("--json", str(file))) == 0
    written = json.loads(file.read_text())
    assert written["asks"] == [{"checkpoint": 1, "ask": 5}, {"checkpoint": 2, "ask": 9}]
    assert written["machine"]["cores"] == 2
    assert capsys.readouterr().err == ""


def test_a_measurement_that_fails_is_told_and_costs_no_other_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Bench) -> None:
        raise programs.ProgramError("nginx ended early")

    def succeed(bench: Bench) -> None:
        bench.results.asks.append(Ask(1, 5))

    @contextlib.contextmanager
    def upstream(ground: object, pause: object) -> Iterator[tuple[None, None]]:
        yield None, None

    monkeypatch.setattr(nginx, "upstream", upstream)
    for module in (nginx, load, envoy):
        monkeypatch.setattr(module, "installed", str)
    monkeypatch.setattr(command, "MEASUREMENTS", {"one": fail, "two": succeed})
    assert command.run(arguments()) == 1
    printed = capsys.readouterr().out
    assert "FAILED: one: nginx ended early" in printed
    assert "ask / checkpoint" in printed


@pytest.mark.parametrize("module", [nginx, load])
def test_what_is_missing_is_said_plainly_before_anything_starts(
    module: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> str:
        raise programs.MissingError("it is not installed (Debian: apt-get install it)")

    monkeypatch.setattr(nginx, "installed", str)
    monkeypatch.setattr(load, "installed", str)
    monkeypatch.setattr(module, "installed", missing)
    assert command.run(arguments()) == 1
    assert capsys.readouterr().err == (
        "sluice bench: it is not installed (Debian: apt-get install it)\n"
    )


def test_quick_is_small_and_seconds_and_rounds_override_it() -> None:
    assert command._plan(arguments()) == plan.FULL
    assert command._plan(arguments("--quick")) == plan.QUICK
    chosen = command._plan(arguments("--quick", "--seconds", "2", "--rounds", "3"))
    assert (chosen.seconds, chosen.rounds, chosen.streams) == (2, 3, plan.QUICK.streams)


@pytest.mark.parametrize(
    "words", [("--only", "everything"), ("--seconds", "0"), ("--rounds", "0"), ("--rounds", "a")]
)
def test_arguments_that_make_no_sense_are_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        arguments(*words)
    assert "error" in capsys.readouterr().err
