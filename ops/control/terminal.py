"""A terminal that shows frames and hears keys, and is as before when the block is left."""

from __future__ import annotations

import os
import re
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from .top_view import Row

_KEY: Final = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
"""One key: an escape sequence of a terminal's, or one byte."""
_NAMES: Final = {b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down"}
_BYTES: Final = 256
"""Read at a time: several keys, if somebody types ahead."""
_DUMB: Final = frozenset({"", "dumb", "unknown"})


def keys_in(typed: bytes) -> list[str]:
    """The keys in what a terminal sent: characters, ``up``, ``down``; ``?`` for others."""
    return [_name(key) for key in _KEY.findall(typed)]


def can_show(terminal: str | None) -> bool:
    """Whether a terminal of this type (``$TERM``) has another screen to show frames on."""
    return (terminal or "") not in _DUMB


class Terminal:
    """Made by `open_terminal`."""

    def __init__(self, live: Live, keyboard: int) -> None:
        self._live = live
        self._keyboard = keyboard

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        return self._live.console.size

    def show(self, rows: Sequence[Row]) -> None:
        """Replace what is shown."""
        text = Text("\n").join(Text(row.text, style=row.style) for row in rows)
        text.no_wrap = True
        self._live.update(text, refresh=True)

    async def keys(self) -> list[str]:
        """The next keys, at least one, as `keys_in` has them; none when the terminal has gone."""
        await trio.lowlevel.wait_readable(self._keyboard)
        try:
            return keys_in(os.read(self._keyboard, _BYTES))
        except OSError:
            return []


@contextmanager
def open_terminal(keyboard: int) -> Iterator[Terminal]:
    """Take the terminal: its other screen, keys as they are pressed, no echo."""
    before = termios.tcgetattr(keyboard)
    console = Console(highlight=False, markup=False)
    try:
        tty.setcbreak(keyboard)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield Terminal(live, keyboard)
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _name(key: bytes) -> str:
    if key in _NAMES:
        return _NAMES[key]
    return "?" if len(key) > 1 else key.decode("ascii", "replace")
