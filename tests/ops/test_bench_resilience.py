"""What `sluice bench` measures of breakers, limits and other formats, for real but short."""

from __future__ import annotations

import json
import os
import tomllib
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from sluice.ops.bench import command, cpu, limit_keys, load, resilience, translated
from sluice.ops.bench.bench import Bench
from sluice.ops.bench.contestants import Contestant, Kind, Upstream
from sluice.ops.bench.dialects import ANTHROPIC, OPENAI
from sluice.ops.bench.results import FamilyCost

CORE = min(os.sched_getaffinity(0))


def test_the_two_services_differ_in_limits_and_breakers_and_in_nothing_else() -> None:
    off, on = (tomllib.loads(resilience.guards(name)) for name in ("off", "on"))
    assert off["limits"] == {"ip": "off", "user": "off", "token": "off"}
    assert on["limits"] == dict.fromkeys(("ip", "user", "token"), "100000/hour")
    assert (off["breaker"], on["breaker"]) == ({"enabled": False}, {"enabled": True})
    assert off["auth"] == on["auth"]
    digests = {each["sha256"] for each in on["auth"]["tokens"].values()}
    assert digests == {sha256(token.encode()).hexdigest() for token in resilience.TOKENS}
    assert len(digests) == load.CONNECTIONS


def test_each_format_and_length_has_a_model_and_a_provider_of_that_format() -> None:
    read = tomllib.loads(translated.models(Upstream(1001, 1002, 1003, Path("/run/up.pem"))))
    assert set(read["models"]) == set(read["providers"])
    assert {each["format"] for each in read["providers"].values()} == {
        "openai",
        "anthropic",
        "cohere",
    }
    spoken = "http://127.0.0.1:1001/spoken"
    assert read["providers"]["openai-20"]["base_url"] == f"{spoken}/openai/20/v1"
    assert read["providers"]["cohere-520"]["base_url"] == f"{spoken}/cohere/520"


@pytest.mark.real
async def test_callers_leave_nothing_in_the_store_when_their_window_is_over(
    tmp_path: Path,
) -> None:
    before = cpu.family(os.getpid())
    found = await limit_keys.measure(limit_keys.Orders(500, str(tmp_path), CORE))
    assert found.forgotten
    assert (found.callers, found.expired, found.left) == (500, 500, 0)
    assert cpu.family(os.getpid()) == before


def only_probe(
    _: Bench, contestant: Contestant, kind: Kind, asking: load.Asking | None = None
) -> None:
    """In place of a warm-up, which makes figures steady."""
    load.probe(contestant.addresses[kind], asking)


def measured(tmp_path: Path, *only: str) -> Any:
    """What a quick run found."""
    before = cpu.family(os.getpid())
    file = tmp_path / "found.json"
    parser = ArgumentParser()
    command.add_arguments(parser)
    words = ["--quick", "--without", "nginx", "envoy", "--json", str(file), "--only", *only]
    assert command.run(parser.parse_args(words)) == 0
    assert cpu.family(os.getpid()) == before
    return json.loads(file.read_text())


def wanted_of_the_store(port: int) -> float:
    """How many operations the service at ``port`` has asked its store for."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        lines = page.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("sluice_store_operations_total{")
    )


@pytest.mark.real
def test_breakers_and_limits_and_a_pair_of_formats_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Bench, "warm_up", only_probe)
    monkeypatch.setattr(resilience, "KINDS", (Kind.AT_ONCE,))
    monkeypatch.setattr(translated, "PAIRS", ((OPENAI, ANTHROPIC),))
    wanted: dict[str, float] = {}  # of the store: its processor time may be less than a tick
    cost = resilience._cost

    def counted(bench: Bench, kind: Kind, contestant: Contestant) -> FamilyCost:
        found = cost(bench, kind, contestant)
        wanted[contestant.name] = wanted_of_the_store(contestant.addresses[kind].port)
        return found

    monkeypatch.setattr(resilience, "_cost", counted)
    found = measured(tmp_path, "resilience", "translated")
    ((off,), (on,)) = (found["resilience"]["at-once"][name] for name in ("off", "on"))
    assert min(off["first"], on["first"]) > 0
    assert wanted["on"] > wanted["off"]
    (one,) = found["translated"]["openai"]["anthropic"]
    assert one["many"] > one["few"] > 0
    assert "from anthropic" in capsys.readouterr().out
