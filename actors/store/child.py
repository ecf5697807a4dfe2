"""A child process that ends when we do, however we end: the kernel sends it a SIGTERM then.

That signal (``PR_SET_PDEATHSIG``) is bound to the *thread* that starts the child, so it is started
by the thread that runs the event loop, not by a helper: that takes about a millisecond. A program
of a few lines asks for the signal and becomes the child's own; Python's way to do that between
fork and exec (``preexec_fn``) may deadlock where there are threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

_LAUNCHER: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    try:
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as problem:
        sys.exit(f"{sys.argv[2]}: {problem.strerror}")
"""
"""``argv``: our process id, then the command. If we are gone already, no signal would come."""


class Child:
    """A running process. Whoever starts it waits for it: ``wait`` also gives back what it holds.

    Args:
        command: the program's path and its arguments.
        log: a file that gets what it says, appended.

    Raises `OSError` if not even the start of it starts.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        with log.open("ab") as said:
            self._popen = subprocess.Popen(  # noqa: S603 -- a program of ours, without a shell
                [*launcher, *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # a Ctrl-C is for us; we stop it when all else has
            )
        self._watched = os.pidfd_open(self.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None until `wait` has seen it."""
        return self._popen.returncode

    def terminate(self) -> None:
        """SIGTERM; one that is stopped goes on, to hear it."""
        self._send(signal.SIGTERM)
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

    async def wait(self) -> None:
        """Return when it has ended. May be cancelled, and called again; by one task at a time."""
        if self.returncode is None:
            await trio.lowlevel.wait_readable(self._watched)
            self._popen.wait()
            os.close(self._watched)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended, which `wait` is about to see
            signal.pidfd_send_signal(self._watched, number)
