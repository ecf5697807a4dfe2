"""An answer that breaks off, and again where another provider went on with it, in each format."""

from __future__ import annotations

import itertools

import pytest
import trio
from tests.actors.fakes import FakeClient
from tests.actors.rescue.heard import CLIENTS
from tests.actors.rescue.scripts import ANSWER, FORMATS, PROMPT, SCRIPTS
from tests.actors.rescue.test_every_cut import (
    ASKED,
    FINISHER,
    THOUGHTS,
    flow_of,
    give,
    other_pieces,
    rest_of,
)

from sluice.actors.formats.format import ClientFormat
from sluice.actors.rescue.delivered import Delivered
from sluice.actors.rescue.replay import told_by
from sluice.actors.rescue.rescue import lacks_only_its_end, obstacle, ways
from sluice.actors.rescue.splice import Splice
from sluice.actors.rescue.spliced import SplicedClient
from sluice.actors.settings import ModelSettings
from sluice.actors.streams.flow import Flow

TEXTS = ["Once ", "upon a time"]


async def gone_on(
    name: str, told: Delivered, flow: Flow, spoken: ClientFormat, cut: int | None
) -> Flow:
    """Have a provider go on, and be cut before the last ``cut`` events; None: it is not."""
    way = next(ways(told, ASKED, ModelSettings("m", "p", prefill=name != "cohere")))
    text = rest_of(way, told, "".join(TEXTS))
    events = SCRIPTS[name]("next", ["Oh."], other_pieces(text))
    splice = Splice(told, way.overlap, FINISHER)
    spliced = SplicedClient(spoken, FORMATS[name], splice)
    again = flow_of(name, client_of(flow), spliced, flow)
    await give(again, events if cut is None else events[:-cut])
    if cut is not None:
        splice.broke_off(again.usage_begun())
    return again


def client_of(flow: Flow) -> FakeClient:
    client = flow._client
    assert isinstance(client, FakeClient)
    return client


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("first", SCRIPTS)
def test_an_answer_that_breaks_off_again_and_again_is_whole_in_the_end(
    first: str, client: str
) -> None:
    make, listen = CLIENTS[client]

    async def check(second: str, third: str, after: int, cut: int) -> None:
        spoken = make()
        flow = flow_of(first, FakeClient(), spoken)
        await give(flow, SCRIPTS[first]("first", THOUGHTS, TEXTS)[:after])
        if flow.first_chunk_at is None:
            return
        assert flow.kept is not None
        told = told_by(flow.kept, FORMATS[first], spoken)
        if lacks_only_its_end(told, ASKED):
            return
        flow = await gone_on(second, told, flow, spoken, cut)
        if lacks_only_its_end(told, ASKED):
            await flow.finish()
        else:
            assert obstacle(told, ASKED) is None
            before = told.usage or {"prompt_tokens": 0, "completion_tokens": 0}
            await gone_on(third, told, flow, spoken, None)
            heard = listen(client_of(flow).received)
            assert heard.tokens == (
                before["prompt_tokens"] + PROMPT,
                before["completion_tokens"] + ANSWER,
            )
        assert listen(client_of(flow).received).text == "".join(TEXTS)

    async def run() -> None:
        await trio.lowlevel.checkpoint()
        afters = range(len(SCRIPTS[first]("first", THOUGHTS, TEXTS)))
        for second, third in itertools.pairwise([*SCRIPTS, *SCRIPTS][:4]):
            for after in afters:
                for cut in range(1, 1 + len(SCRIPTS[second]("next", ["Oh."], ["a", "b"])), 2):
                    await check(second, third, after, cut)

    trio.run(run)
