"""Every test closes what it opens: connections, files, pipes, processes (``tests/conftest.py``)."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final

PATIENCE: Final = 30.0
"""Seconds after which what is still open stays so: many times what it takes to be closed."""


def descriptors() -> dict[int, str]:
    """All that are open in this process, and what of."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- names are enough
        with suppress(FileNotFoundError):  # it was the one that listed the folder
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 -- likewise
    return found


def opened_since(before: dict[int, str]) -> dict[int, str]:
    """Descriptors that were not there, when they are none or for long enough."""
    end = time.monotonic() + PATIENCE
    while (new := dict(descriptors().items() - before.items())) and time.monotonic() < end:
        time.sleep(0.005)  # A thread or a child of the test is about to let go.
    return new
