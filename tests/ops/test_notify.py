"""What a service manager is told, as systemd would hear it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sluice.ops.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Where a manager listens, as a variable has it, and its socket."""
    abstract = f"sluice-test-{os.getpid()}"
    address = f"@{abstract}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + abstract if request.param == "abstract" else address)
        sock.setblocking(False)
        yield address, sock


def test_each_state_is_one_message(manager: tuple[str, socket.socket]) -> None:
    address, sock = manager
    notifier = Notifier(address)
    notifier.ready("serving")
    assert sock.recv(999) == b"READY=1\nMAINPID=%d\nSTATUS=serving" % os.getpid()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    first, second, third = sock.recv(999).decode().splitlines()
    assert (first, third) == ("RELOADING=1", "STATUS=reloading its configuration")
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notifier.stopping("draining")
    assert sock.recv(999) == b"STOPPING=1\nSTATUS=draining"


def test_processes_below_do_not_inherit_it() -> None:
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "HOME": "/root"}
    Notifier.of(environment)
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_a_manager_nothing_is_told(environment: dict[str, str]) -> None:
    with capture_logs() as logged:
        Notifier.of(environment).ready("serving")
    assert logged == []


@pytest.mark.parametrize("address", ["/nowhere/at/all", "vsock:2:9"])
def test_a_manager_that_cannot_be_told_is_named_once(address: str) -> None:
    notifier = Notifier(address)
    with capture_logs() as logged:
        notifier.ready("serving")
        notifier.stopping("draining")
    (line,) = logged
    assert line["address"] == address
