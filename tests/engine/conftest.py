"""Tests of the engine run on virtual time: a wait costs nothing, and takes exactly as long.

Those of processes (``test_process*``) do not: the operating system's time is real.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

HERE = Path(__file__).parent


def run_on_virtual_time(function: Any, *, clock: Any = None, instruments: Any = ()) -> Any:
    virtual = clock or MockClock(autojump_threshold=0)
    return trio.run(function, clock=virtual, instruments=instruments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function = getattr(item, "function", None)
        if HERE in item.path.parents and inspect.iscoroutinefunction(function):
            real = item.path.name.startswith("test_process")
            run = trio.run if real else run_on_virtual_time
            item.add_marker(pytest.mark.trio(run=run), append=False)
