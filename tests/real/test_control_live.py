"""``sluice events`` and ``sluice drain`` to the end of a real service, and beside each other."""

from __future__ import annotations

import signal
import subprocess

import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.in_thread import LONG
from tests.real.serving import COMMAND, Operated, Start, killed
from tests.service.operators_world import HELD, PATIENCE, is_whole, text_of, until

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def long_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LONG.items():
        monkeypatch.setenv(name, value)


class Listener:
    """``sluice events`` in the background."""

    def __init__(self, operated: Operated, process: trio.Process) -> None:
        self._operated = operated
        self.process = process
        self.text = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        try:
            async with self.process.stdout:
                async for some in self.process.stdout:
                    self.text += some.decode()
        finally:
            with trio.move_on_after(PATIENCE, shield=True):
                await killed(self.process)

    async def tells(self, text: str) -> None:
        await until(lambda: text in self.text)


async def listen(operated: Operated, nursery: trio.Nursery, path: str = "metrics") -> Listener:
    """One that hears already that ``path`` is restarted."""
    process = await trio.lowlevel.open_process(
        [COMMAND, "events", "--config", str(operated.config)],
        stdout=subprocess.PIPE,
        env=operated.environment,
    )
    listener = Listener(operated, process)
    nursery.start_soon(listener.read)
    with trio.fail_after(PATIENCE):
        while f"{path} #" not in listener.text:
            await operated.done("restart", path)
    return listener


async def test_drain_and_events_go_on_to_the_services_end(
    start: Start, simulator: Simulator, nursery: trio.Nursery
) -> None:
    operated = await start()
    answers: dict[str, Answer] = {}
    for number in range(5):
        nursery.start_soon(operated.service.ask, answers, HELD, f"held {number}")
    await simulator.wait(lambda now: now.held == 5)
    listener = await listen(operated, nursery)
    interrupted = await listen(operated, nursery)
    interrupted.process.send_signal(signal.SIGINT)
    assert await interrupted.process.wait() == 130
    drained: list[str] = []

    async def drain() -> None:
        drained.append(await operated.done("drain"))

    nursery.start_soon(drain)
    await operated.service.told("draining")
    simulator.release()
    await until(lambda: bool(drained))
    assert drained[0].startswith("draining: 5 streams have 30 s to end\n")
    assert drained[0].endswith("the service has ended\n")
    assert await operated.service.ends() == 0
    with trio.fail_after(PATIENCE):
        assert await listener.process.wait() == 0
    await listener.tells("stopped      edge #1")
    await listener.tells("stopped      metrics #")
    assert all(is_whole(answers[each], text_of(HELD, each, 20)) for each in answers)
    assert len(answers) == 5
