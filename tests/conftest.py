"""What all tests share: which of them are deterministic."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import PurePath

import pytest
from hypothesis import HealthCheck, settings
from tests.descriptors import descriptors, opened_since

LOOPBACK = (
    "tests/real/*",
    "tests/service/*",
    "tests/http/test_server*",
    "tests/http/test_edge*",
    "tests/http/test_spread*",
    "tests/http/test_stand_in*",
    "tests/actors/upstream/*",
    "tests/ops/test_simulator_server*",
    "tests/ops/test_simulator_command*",
    "tests/ops/test_bench_programs*",
    "tests/ops/test_cli*",
    "tests/ops/test_config_pem*",
    "tests/ops/test_member_imports*",
    "tests/ops/test_notify*",
    "tests/test_layout*",
    "tests/engine/test_types*",
    "tests/engine/test_process*",
)
"""Tests with real sockets, clocks or subprocesses. All others are pure or on virtual time."""


settings.register_profile("whole", deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No example has a time budget, nor has making one: the machine may be slow."""
settings.register_profile("brief", parent=settings.get_profile("whole"), max_examples=20)
"""To see what is covered."""
settings.load_profile("whole")

DATA_DIR = "SLUICE_SERVER__DATA_DIR"


def pytest_configure() -> None:
    """Services that tests start keep what they keep away from the user's own.

    A shell has what runs in its background ignore SIGINT, and so would all that is started here.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[DATA_DIR] = tempfile.mkdtemp(prefix="sluice-")


def pytest_unconfigure() -> None:
    """Nothing is left of it."""
    shutil.rmtree(os.environ[DATA_DIR], ignore_errors=True)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """What a test opens it closes, whatever it opens: connections, files, pipes, processes."""
    before = descriptors()
    yield
    left = opened_since(before)
    assert not left, left


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark them, so that `make deterministic` leaves them out."""
    for item in items:
        path = PurePath(item.path).relative_to(config.rootpath)
        if any(path.match(pattern) for pattern in LOOPBACK):
            item.add_marker("loopback")
