"""`sluice bench` with real programs: short, to see that it measures, not what."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from sluice.ops.bench import command, cpu

pytestmark = pytest.mark.real


def bench(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_nginx_is_measured_before_the_upstream_and_everything_that_was_started_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cpu.family(os.getpid())
    file = tmp_path / "found.json"
    only = ["cpu", "first-chunk", "open-streams", "leaving"]
    words = ["--quick", "--without", "sluice", "envoy", "--json", str(file), "--only", *only]
    assert bench(*words) == 0, capsys.readouterr()
    found = json.loads(file.read_text())
    assert found["costs"]["at-once"]["nginx"][0]["microseconds"] > 0
    assert found["costs"]["paced"]["nginx"][0]["per_second"] > 0
    assert found["first_chunk"]["nginx"][0]["p50"] > 0
    assert found["open_streams"]["nginx"]["complete"] == found["open_streams"]["nginx"]["asked"]
    assert all(delay < 10_000 for delay in found["leaving"]["nginx"])
    assert "nginx" in capsys.readouterr().out
    assert cpu.family(os.getpid()) == before
