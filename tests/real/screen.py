"""A terminal with a program in it, as somebody in front of it sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence

import trio
from tests.service.operators_world import PATIENCE

ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
"""What a program writes to take the terminal's other screen, and to give it back."""


class Screen:
    """A program in a terminal of so many columns and lines; `close` ends it."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str] = os.environ,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(*size, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.written = ""
        """All that it wrote."""
        self._seen = 0
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *words],  # else Ctrl-C would be a key like any other
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={"TERM": "xterm", **environment},
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.signal(signal.SIGWINCH)

    async def shows(self, text: str) -> None:
        """Return when ``text`` was shown since the last time."""
        await self._until(lambda: text in self.written[self._seen :], text)
        self._seen = self.written.index(text, self._seen) + len(text)

    async def ends(self) -> int:
        """Its exit code, after all that it writes was read."""
        await self._until(lambda: self.process.poll() is not None, "the end")
        with trio.move_on_after(0.2):
            await self._until(lambda: LEFT in self.written, "its last words")
        return int(self.process.returncode)

    @property
    def is_restored(self) -> bool:
        """Whether its other screen was left, and keys are echoed again."""
        return self.written.count(LEFT) == self.written.count(
            ENTERED
        ) and self.before == termios.tcgetattr(self.slave)

    async def _until(self, is_so: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(PATIENCE):
            while not is_so():
                with trio.move_on_after(0.05):
                    await trio.lowlevel.wait_readable(self.master)
                    self.written += os.read(self.master, 65536).decode(errors="replace")
            return
        raise AssertionError(f"{what} did not come: {self.written[-4000:]}")
