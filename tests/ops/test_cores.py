"""How many workers ``auto`` means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluice.ops.cores import read_max, usable_cores, workers_for


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("1000 100000", 1)],
)
def test_a_quota_is_rounded_up_to_whole_cores(tmp_path: Path, quota: str, cores: int) -> None:
    write(tmp_path, group="0::/a/b")
    write(tmp_path / "mount" / "a" / "b", cpu__max=quota)
    assert usable_cores(tmp_path / "group", tmp_path / "mount") == cores


@pytest.mark.usefixtures("eight_cores")
def test_the_quota_of_a_group_above_holds_too(tmp_path: Path) -> None:
    write(tmp_path, group="0::/a/b")
    write(tmp_path / "mount" / "a" / "b", cpu__max="max 100000")
    write(tmp_path / "mount" / "a", cpu__max="300000 100000")
    assert usable_cores(tmp_path / "group", tmp_path / "mount") == 3


@pytest.mark.usefixtures("eight_cores")
def test_the_first_version_of_control_groups_is_understood(tmp_path: Path) -> None:
    write(tmp_path, group="4:cpu,cpuacct:/x\n1:name=systemd:/")
    folder = tmp_path / "mount" / "cpu,cpuacct" / "x"
    write(folder, cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    assert usable_cores(tmp_path / "group", tmp_path / "mount") == 4


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize("group", ["0::/", "0::/../up", "", "4:cpu:/x"])
def test_without_a_quota_it_is_the_affinity(tmp_path: Path, group: str) -> None:
    write(tmp_path, group=group)
    assert usable_cores(tmp_path / "group", tmp_path / "mount") == 8
    assert usable_cores(tmp_path / "missing", tmp_path / "mount") == 8


@pytest.mark.parametrize("text", ["", "max", "-1 100000", "a b", "1 0", "1 2 3"])
def test_what_is_no_quota_bounds_nothing(text: str) -> None:
    assert read_max(text) is None


def test_here_there_is_at_least_one() -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


def test_auto_is_one_worker_a_core_and_one_process_where_there_is_only_one() -> None:
    assert [workers_for("auto", cores) for cores in (1, 2, 8)] == [0, 2, 8]
    assert [workers_for(setting, 4) for setting in (0, 1, 3)] == [0, 1, 3]
