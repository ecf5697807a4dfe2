"""How `sluice bench` starts and ends programs."""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path

import pytest

from sluice.ops.bench import cpu, programs

CORE = min(os.sched_getaffinity(0))
LISTEN = """
import signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    signal.pause()
"""
PARENT = """
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "60"], start_new_session=True)
print("child")
signal.pause()
"""


@pytest.fixture
def ground(tmp_path: Path) -> programs.Ground:
    return programs.Ground(tmp_path, CORE, CORE, 20000)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_program_that_ignores_sigterm_is_ended_all_the_same(
    ground: programs.Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_STOP_WITHIN", 0.05)
    port = programs.free_port()
    argv = [sys.executable, "-c", LISTEN, str(port)]
    with programs.running("stubborn", argv, ground, CORE) as program:
        program.wait_for(port)
        assert alive(program.pid)
    assert not alive(program.pid)


def test_what_a_program_has_started_ends_with_it_when_it_must_be_killed(
    ground: programs.Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_STOP_WITHIN", 0.05)
    argv = [sys.executable, "-uc", PARENT]
    with programs.running("parent", argv, ground, CORE) as program:
        program.wait_for_line("child")
        _, child = cpu.family(program.pid)
        watched = os.pidfd_open(child)
    try:
        assert select.select([watched], [], [], 10)[0]
    finally:
        os.close(watched)


def test_an_interruption_of_the_block_ends_the_program(ground: programs.Ground) -> None:
    pids = []

    def interrupted() -> None:
        with programs.running("sleeper", ["sleep", "60"], ground, CORE) as program:
            pids.append(program.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not alive(pids[0])


def test_a_program_that_does_not_come_up_is_told_with_the_end_of_its_log(
    ground: programs.Ground,
) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such port')"]
    with (
        programs.running("broken", argv, ground, CORE) as program,
        pytest.raises(programs.ProgramError, match=r"broken did not start(?s:.)*no such port"),
    ):
        program.wait_for(programs.free_port())


def test_a_program_is_waited_for_until_it_says_so(ground: programs.Ground) -> None:
    argv = [sys.executable, "-uc", "import time; print('it is ready'); time.sleep(60)"]
    with programs.running("speaker", argv, ground, CORE) as program:
        program.wait_for_line("ready")
        assert program.tail() == "it is ready"


def test_a_program_may_have_several_cores(ground: programs.Ground) -> None:
    cores = os.sched_getaffinity(0)
    with programs.running("sleeper", ["sleep", "60"], ground, *cores) as program:
        assert os.sched_getaffinity(program.pid) == cores


def test_what_would_override_the_configuration_is_kept_from_the_programs(
    ground: programs.Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_CONNECTIONS__LIMIT", "1")
    monkeypatch.setenv("KEPT", "1")
    assert (
        "SLUICE_CONNECTIONS__LIMIT" not in programs.run_to_end(["env"], ground, CORE, 10).decode()
    )
    assert "KEPT=1" in programs.run_to_end(["env"], ground, CORE, 10).decode()


def test_a_client_that_fails_is_told_with_its_complaint(ground: programs.Ground) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('bad orders')"]
    with pytest.raises(programs.ProgramError, match="bad orders"):
        programs.run_to_end(argv, ground, CORE, 10)


def test_a_client_that_takes_too_long_is_ended(ground: programs.Ground) -> None:
    with pytest.raises(programs.ProgramError, match="longer than"):
        programs.run_to_end(["sleep", "60"], ground, CORE, 0.05)


def test_what_is_started_on_a_core_stays_there_and_we_do_not(ground: programs.Ground) -> None:
    before = os.sched_getaffinity(0)
    argv = [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]
    assert programs.run_to_end(argv, ground, CORE, 10).decode().strip() == str({CORE})
    assert os.sched_getaffinity(0) == before


def test_a_missing_program_is_named_with_its_debian_package() -> None:
    with pytest.raises(programs.MissingError, match="apt-get install some-package"):
        programs.find("no-such-program", "some-package")


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", programs.free_port())):
        pass


def test_three_descriptors_a_stream_bound_how_many_are_opened() -> None:
    assert programs.Ground(Path(), 0, 1, 20000).streams == 6500
    assert programs.Ground(Path(), 0, 1, 20000).one_core is False
    assert programs.Ground(Path(), 0, 0, 20000).one_core is True


def test_a_free_port_is_none_that_an_outgoing_connection_may_be_given() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(programs.free_port() < lowest for _ in range(20))
