"""A terminal that shows frames and hears keys, and is as before when the block is left."""

from __future__ import annotations

import os
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

_NAMES: Final = {b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down"}
_KEYS: Final = 64
"""Bytes read at a time: more than one key only if somebody pastes."""


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

    async def key(self) -> str:
        """The next key: a character, ``up`` or ``down``; empty when the terminal has gone."""
        await trio.lowlevel.wait_readable(self._keyboard)
        try:
            pressed = os.read(self._keyboard, _KEYS)
        except OSError:
            return ""
        return _NAMES.get(pressed, pressed[:1].decode("ascii", "replace"))


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
