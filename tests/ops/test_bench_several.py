"""The programs of `sluice bench` that measure several processes, for real but short."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path

import pytest

from sluice.ops.bench import command, cpu, link_asks, load, store_operations
from sluice.ops.bench.bench import Bench
from sluice.ops.bench.contestants import Contestant, Kind

pytestmark = pytest.mark.real

CORE = min(os.sched_getaffinity(0))


async def test_an_ask_between_processes_costs_both_of_them_and_takes_time() -> None:
    before = cpu.family(os.getpid())
    found = await link_asks.measure(link_asks.Orders(rounds=2, count=128, core=CORE))
    assert len(found) == 2
    assert all(min(one.asking, one.answering, one.alone) > 0 for one in found)
    assert cpu.family(os.getpid()) == before


async def test_an_operation_of_the_store_costs_its_client_and_takes_time(tmp_path: Path) -> None:
    before = cpu.family(os.getpid())
    orders = store_operations.Orders(rounds=2, count=128, folder=str(tmp_path), core=CORE)
    found = await store_operations.measure(orders)
    assert len(found) == 2
    assert all(min(one.client, one.alone) > 0 for one in found)
    assert cpu.family(os.getpid()) == before


def only_probe(_: Bench, contestant: Contestant, kind: Kind) -> None:
    """In place of a warm-up, which makes figures steady."""
    load.probe(contestant.addresses[kind])


def test_two_workers_are_measured_beside_one_process_and_share_long_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "warm_up", only_probe)
    before = cpu.family(os.getpid())
    file = tmp_path / "found.json"
    parser = ArgumentParser()
    command.add_arguments(parser)
    words = ["--quick", "--without", "nginx", "envoy", "--only", "workers", "--json", str(file)]
    assert command.run(parser.parse_args(words)) == 0, capsys.readouterr()
    found = json.loads(file.read_text())
    for rounds in found["workers"].values():
        (one,), (many,) = rounds["workers = 0"], rounds["workers = 2"]
        assert one["cost"]["microseconds"] > 0
        assert one["workers"] == 0
        assert min(many["first"], many["workers"]) > 0
    for crowds in found["spread"].values():
        assert all(sum(held) == 64 and len(held) <= 2 for held in crowds)
    assert "ratio" in capsys.readouterr().out
    assert cpu.family(os.getpid()) == before
