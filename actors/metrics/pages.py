"""Expositions that do not fit into one message: a host with hundreds of models has some MiB.

What is rendered at once is read in pages, so that all of it is of one moment, and no frame of a
link is too large for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio

from sluice.engine import AskTimeout, Message, Ref

if TYPE_CHECKING:
    from .metrics import Render

PAGE: Final = 512 * 1024
"""Bytes of a page: half a frame."""

KEPT: Final = 8
"""Expositions that are being read at the same time. Beyond that the oldest one is dropped."""


class Page(msgspec.Struct, frozen=True):
    """A part of an exposition."""

    text: bytes
    rest: int = 0
    """Of which number the rest is; 0: there is none."""


class Rest(Message[Page | None], frozen=True):
    """Ask for the next page of number ``number``; None: it is not there any more."""

    number: int


class Rests:
    """What was rendered and not yet read."""

    def __init__(self) -> None:
        self._number = 0
        self._rests: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._rests)

    def begin(self, text: bytes) -> Page:
        """The first page of ``text``."""
        self._number += 1
        return self._cut(self._number, text)

    def next(self, number: int) -> Page | None:
        """The next page of number ``number``."""
        text = self._rests.pop(number, None)
        return None if text is None else self._cut(number, text)

    def _cut(self, number: int, text: bytes) -> Page:
        if len(text) <= PAGE:
            return Page(text)
        while len(self._rests) >= KEPT:
            del self._rests[min(self._rests)]
        self._rests[number] = text[PAGE:]
        return Page(text[:PAGE], number)


async def read(metrics: Ref, render: Render, timeout: float) -> bytes | None:
    """All that ``metrics`` renders, within ``timeout`` seconds; None if it lost it meanwhile.

    Raises `ActorError`.
    """
    deadline = trio.current_time() + timeout
    page: Page | None = await metrics.ask(render, timeout=timeout)
    texts: list[bytes] = []
    while page is not None:
        texts.append(page.text)
        if not page.rest:
            return b"".join(texts)
        left = deadline - trio.current_time()
        if left <= 0:
            raise AskTimeout(metrics.path, f"{metrics.path}: not all within {timeout:g} s")
        page = await metrics.ask(Rest(page.rest), timeout=left)
    return None
