"""``sluice top`` in a terminal: what it shows, which keys it obeys, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from tests.real.screen import Screen
from tests.real.service import Service, open_service
from tests.real.serving import COMMAND
from tests.service.operators_world import until

from sluice.ops.control.place import Place
from sluice.ops.control.server import open_control
from sluice.ops.control.worker import ControlledWorker
from sluice.ops.logs import open_log

pytestmark = pytest.mark.real


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(f"unix:{tmp_path}/control.sock")


@pytest.fixture
def log() -> Iterator[None]:
    """Lines that nobody reads."""
    with Path(os.devnull).open("wb") as sink, open_log(sink.fileno(), "info"):
        yield


@pytest.fixture
async def service(place: Place, log: None) -> AsyncIterator[Service]:
    """A service in this process, which operators reach at ``place``."""
    async with open_service() as service:
        controlled = ControlledWorker(service.worker, lambda: None)
        async with open_control(place, lambda: controlled):
            yield service


class Screens:
    """Starts programs in terminals; all are ended with the test."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self._place = place
        self._stack = stack

    def top(self, *words: str, size: tuple[int, int] = (80, 24), term: str = "xterm") -> Screen:
        command = [COMMAND, "top", "--interval", "0.1", "--control", self._place.address, *words]
        screen = Screen(command, {**os.environ, "TERM": term}, size)
        self._stack.callback(screen.close)
        return screen


@pytest.fixture
def screens(place: Place, service: Service) -> Iterator[Screens]:
    assert service.url
    with ExitStack() as stack:
        yield Screens(place, stack)


@pytest.mark.parametrize(
    ("how", "code"), [("q", 0), ("SIGTERM", 0), ("SIGHUP", 0), ("SIGINT", 130), ("\x03", 130)]
)
async def test_top_restores_the_terminal_however_it_ends(
    screens: Screens, how: str, code: int
) -> None:
    screen = screens.top()
    await screen.shows("metrics")
    assert termios.tcgetattr(screen.slave) != screen.before
    if how.startswith("SIG"):
        screen.signal(signal.Signals[how])
    else:
        screen.press(how)
    assert await screen.ends() == code
    assert screen.is_restored
    assert "Traceback" not in screen.written


async def test_an_actor_is_selected_and_restarted_from_within_top(
    screens: Screens, service: Service
) -> None:
    screen = screens.top()
    await screen.shows("metrics")
    screen.press("jjr")
    await screen.shows("restart ")
    screen.press("y")
    await screen.shows("restarted")
    system = service.worker.system
    assert sum(getattr(system.inspect(path), "incarnation", 1) - 1 for path in system.paths) == 1
    screen.press("q")
    assert await screen.ends() == 0


async def test_top_works_in_any_size_and_when_that_changes(screens: Screens) -> None:
    screen = screens.top(size=(80, 24))
    await screen.shows("q quit")
    for columns, lines in ((40, 10), (20, 4), (200, 60)):
        screen.resize(columns, lines)
        await screen.shows("q quit  space hold"[: columns - 1])
    await screen.shows("PROVIDER")
    screen.press("q")
    assert await screen.ends() == 0
    assert "Traceback" not in screen.written


async def test_without_a_terminal_top_says_what_to_do_instead(screens: Screens) -> None:
    dumb = screens.top(term="dumb")
    assert await dumb.ends() == 1
    await dumb.shows("--once prints one frame")
    piped = await trio.run_process(
        [COMMAND, "top"],
        stdin=subprocess.DEVNULL,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert piped.returncode == 1
    assert b"--once prints one frame" in piped.stderr


async def test_top_tells_what_is_wrong_with_the_selected_actor(
    screens: Screens, service: Service
) -> None:
    screen = screens.top()
    await screen.shows("metrics")
    await service.worker.system.pause("metrics")
    await screen.shows("paused")
    screen.press("jp")
    await screen.shows("resume metrics?")
    screen.press("y")
    await screen.shows("resumed")
    await until(lambda: service.worker.system.inspect("metrics").state == "running")
