"""Every actor of a service with two workers is restarted once, while streams run through it.

No stream is lost and no slot: neither stranded nor granted twice. What holds connections is
restarted by replacing its worker, drained.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
import trio
from tests.http.edge_world import Answer
from tests.real.in_thread import LONG, Commands
from tests.real.serving import Operated, Start, eventually
from tests.service.operators_world import HELD, SHORT, is_refused, is_whole, request, text_of, until

from sluice.ops.simulator import Simulator

pytestmark = pytest.mark.real

STREAMS: Final = 30
"""As many as there are slots: one lost or won would be seen."""
SETTINGS: Final = {
    "SLUICE_SERVER__WORKERS": "2",
    "SLUICE_SERVER__DRAIN": "600",
    "SLUICE_CONNECTIONS__LIMIT": str(STREAMS),
    **LONG,
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def paths_in(node: dict[str, Any]) -> list[str]:
    """All paths of a tree but the root's, which is the service."""
    found = [node["path"]] if node["path"] else []
    for child in node["children"]:
        found += paths_in(child)
    return found


class Load:
    """Streams that hold every slot until they are let, and one more that asks for a slot."""

    def __init__(self, operated: Operated, simulator: Simulator, nursery: trio.Nursery) -> None:
        self._service = operated.service
        self._simulator = simulator
        self._nursery = nursery

    async def hold(self, word: str) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        for number in range(STREAMS):
            prompt = f"{word} {number}"
            self._nursery.start_soon(self._service.ask, answers, HELD, prompt)
        await self._simulator.wait(lambda now: now.held == STREAMS)
        return answers

    async def one_too_many(self) -> None:
        answer = await self._service.send(request(SHORT, "one too many"))
        assert is_refused(answer, 429, "no_capacity"), answer

    async def let(self, answers: dict[str, Answer]) -> None:
        assert answers == {}
        self._simulator.release()
        await until(lambda: len(answers) == STREAMS)
        assert all(is_whole(answers[each], text_of(HELD, each, 20)) for each in answers)


async def test_restarting_every_actor_once_loses_no_stream_and_no_slot(
    start: Start, simulator: Simulator, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    operated = await start()
    sluice = Commands(operated.config, capsys)
    load = Load(operated, simulator, nursery)
    answers = await load.hold("held")
    paths = paths_in(await sluice.json("tree"))
    assert {"metrics", "connections", "workers/worker-2", "edge@worker-1"} <= {*paths}
    for path in paths:
        done = await sluice.json("restart", path)
        assert (done["action"], done["path"], done["state"]) == ("restarted", path, "running")
        await load.one_too_many()
    status = await sluice.json("status")
    assert (status["streams"], status["connections"], status["crashes"]) == (STREAMS, STREAMS, 0)
    await load.let(answers)

    async def all_slots_are_free() -> bool:
        status = await sluice.json("status")
        return not status["connections"]

    await eventually(all_slots_are_free)
    again = await load.hold("again")
    await load.one_too_many()
    await load.let(again)
