"""Starting, watching and ending the programs of a benchmark: by process id, only our own."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from . import cpu

_READY_WITHIN = 20.0
_STOP_WITHIN = 10.0
_LOOK_EVERY = 0.02
_LOG_LINES = 12
_PORTS = range(15_000, 32_000)
_FILES_A_STREAM = 3
_FILES_BESIDE = 500


class MissingError(Exception):
    """A program that the benchmark needs is not installed; says which package has it."""


class ProgramError(Exception):
    """A program of the benchmark did not start, or ended early; says what it left in its log."""


class Ground(msgspec.Struct, frozen=True):
    """Where a benchmark takes place: a folder of its own, and a core for either side."""

    folder: Path
    server_core: int
    """Of the proxy that is measured."""
    load_core: int
    """Of the load and of the upstream."""
    descriptors: int
    """Open files that each program may have."""

    @property
    def streams(self) -> int:
        """How many streams at once that leaves room for, in a proxy that counts on three each."""
        return (self.descriptors - _FILES_BESIDE) // _FILES_A_STREAM

    @property
    def one_core(self) -> bool:
        """Whether both sides share a core, for want of a second: figures are then no good."""
        return self.server_core == self.load_core


class Program:
    """A program that runs: its process, and its log in the benchmark's folder."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def __repr__(self) -> str:
        return f"<Program {self.name} pid={self.pid} returncode={self._process.poll()}>"

    @property
    def pid(self) -> int:
        """The process that was started; its children are its own business (`cpu.family`)."""
        return self._process.pid

    def wait_for(self, port: int) -> None:
        """Return when something accepts on ``port``; `ProgramError` when it ends before."""
        self._wait_until(lambda: _accepts(port))

    def wait_for_line(self, part: str) -> None:
        """Return when ``part`` stands in what the program wrote; else as `wait_for`."""
        self._wait_until(lambda: part.encode() in self._log.read_bytes())

    def tail(self) -> str:
        """The last lines that the program wrote."""
        return _tail(self._log.read_bytes())

    def end(self) -> None:
        """Ask the program to end, and make it after ten seconds, or when interrupted.

        What it has started is made to end with it then, for it cannot do that any more.
        """
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.poll() is None:
                _kill(cpu.family(self.pid))
            self._process.wait()

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ProgramError(f"{self.name} did not start. The end of its log:\n{self.tail()}")
            time.sleep(_LOOK_EVERY)


@contextlib.contextmanager
def running(name: str, argv: Sequence[str], ground: Ground, *cores: int) -> Iterator[Program]:
    """A program on ``cores``, in the benchmark's folder, until the block is left.

    It is in a process group of its own: a Ctrl-C reaches us, and we end it.
    """
    log = ground.folder / f"{name}.log"
    with log.open("wb") as output, pinned(*cores):
        process = subprocess.Popen(
            argv,
            cwd=ground.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    program = Program(name, process, log)
    try:
        yield program
    finally:
        program.end()


def run_to_end(argv: Sequence[str], ground: Ground, core: int, within: float) -> bytes:
    """What a program writes until it ends well; else `ProgramError` with its complaint.

    ``within``: seconds. It is killed when they are over, or when we are interrupted.
    """
    with pinned(core):
        process = subprocess.Popen(
            argv,
            cwd=ground.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    with process:
        try:
            output, complaint = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{' '.join(argv[:3])}: took longer than {within:g} s") from None
        finally:
            process.kill()
    if process.returncode != 0:
        raise ProgramError(f"{' '.join(argv[:3])} failed:\n{_tail(complaint)}")
    return output


@contextlib.contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """This thread on ``cores``: what it starts in the block inherits that and keeps it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def find(program: str, package: str) -> str:
    """The path of ``program``, or `MissingError` with the Debian package that has it."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise MissingError(f"{program} is not installed (Debian: apt-get install {package})")
    return path


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now, nor will be given to use.

    The kernel's own choice is from the range of outgoing connections: with some thousands of
    those, one would soon sit on it before whoever is to listen there has begun.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ProgramError(f"no port of 127.0.0.1 from {_PORTS.start} to {_PORTS.stop} is free")


def _kill(pids: Sequence[int]) -> None:
    """All of them, and nobody who was given one's number since: each is held before any ends."""
    held = []
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                held.append(os.pidfd_open(pid))
        for descriptor in held:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        for descriptor in held:
            os.close(descriptor)


def _tail(output: bytes) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-_LOG_LINES:])


def _environment() -> dict[str, str]:
    """Ours, without what would override the configuration that is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
