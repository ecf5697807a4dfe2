"""A thread that ends this process when its parent is gone, although the event loop is blocked.

A parent-death signal would not do: it follows the thread that spawned, not the process.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final, Self

GRACE: Final = 0.5
"""Seconds from the parent's end in which this process may end by itself, in order."""
EXIT_CODE: Final = 75
"""Of a process that had to be ended (``EX_TEMPFAIL``): start it again."""


class Watchdog:
    """Watches the link's ``descriptor`` for a hang-up while the block runs."""

    def __init__(self, descriptor: int) -> None:
        self._link = os.dup(descriptor)  # its own: the number must not be used anew meanwhile
        self._mine, self._threads = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._threads)  # which the thread hears as a hang-up of its pipe
        self._thread.join()
        os.close(self._mine)
        os.close(self._link)

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._link, select.POLLRDHUP)
        poll.register(self._mine, 0)
        while True:
            found = {descriptor for descriptor, _ in poll.poll()}
            if self._mine in found:
                return
            if self._link in found:
                self._end()
                return

    def _end(self) -> None:
        """End the process, unless the block is left within the grace."""
        poll = select.poll()
        poll.register(self._mine, 0)
        deadline = time.monotonic() + GRACE
        while not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            if time.monotonic() >= deadline:
                os._exit(EXIT_CODE)
