"""What `sluice bench` reads from /proc."""

from __future__ import annotations

import os
import subprocess

from sluice.ops.bench import cpu

FIELDS = "S 1 2 3 4 5 6 7 8 9 10 1200 34 0 0 20 0 1 0 100 0 0"


def test_user_and_system_time_are_added() -> None:
    assert cpu.used(f"77 (nginx) {FIELDS}") == 1234


def test_a_program_whose_name_has_blanks_and_parentheses_is_read_rightly() -> None:
    assert cpu.used(f"77 (a (b) c) d) {FIELDS}") == 1234


def test_a_process_that_runs_has_used_time_and_memory() -> None:
    assert cpu.seconds(os.getpid()) > 0
    assert cpu.resident(os.getpid()) > 1_000_000


def test_the_family_of_a_process_are_its_children_too() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert child.pid in cpu.family(os.getpid())
            assert cpu.family(child.pid) == [child.pid]
        finally:
            child.kill()
