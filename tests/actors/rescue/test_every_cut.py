"""An answer that is cut after each of its events, in each format, and gone on with in each.

The flows, the replay and the splice are those of the service; only the network is a fake.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import trio
from tests.actors.fakes import FakeClient, FakePoller, FakeUpstream
from tests.actors.rescue.heard import CLIENTS, Heard
from tests.actors.rescue.scripts import ANSWER, FORMATS, PROMPT, SCRIPTS
from tests.actors.rescue.test_rescue import asked

from sluice.actors.formats.format import ClientFormat
from sluice.actors.rescue.delivered import Delivered
from sluice.actors.rescue.replay import told_by
from sluice.actors.rescue.rescue import Way, lacks_only_its_end, obstacle, ways
from sluice.actors.rescue.splice import Splice
from sluice.actors.rescue.spliced import SplicedClient
from sluice.actors.settings import ModelSettings, Timeouts
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.pump import Pump

TEXTS = ["Once ", "upon", " a time, ", "there", " was ", "a river."]
THOUGHTS = ["Hm. ", "So."]
FINISHER = {"provider": "p", "model": "second"}
ASKED = asked()
WHOLE = (PROMPT + PROMPT, ANSWER + ANSWER)


class Cut(NamedTuple):
    """An answer that breaks off."""

    first: str
    """The format of who begins."""
    second: str
    """Of who goes on."""
    after: int
    """How many events had come."""
    prefill: bool
    """Whether who goes on takes the beginning of an answer."""
    thoughts: list[str]
    """Of who begins; the other one thinks otherwise."""


def flow_of(name: str, client: FakeClient, spoken: ClientFormat, after: Flow | None = None) -> Flow:
    poller = FakePoller()

    def opening() -> bytes:
        if client.head is None:
            client.start(200, [])
        return b""

    return Flow(
        "0" * 32,
        FakeUpstream(poller),
        client,
        provider_format=FORMATS[name],
        client_format=spoken,
        timeouts=Timeouts(),
        pump=Pump(lambda: poller, lambda _: None),
        called_at=0.0,
        opening=opening,
        keep=1 << 20,
        after=after,
    )


async def give(flow: Flow, events: list[bytes]) -> None:
    """What the pump does with what a provider says; and the end, if it comes to it."""
    for data in events:
        flow.pending = flow.translate(data, 0.0)
        assert flow.failure is None, flow.failure
        if flow.pending:
            flow.pending = flow._framed(flow.pending)
        if flow.ended:
            await flow.finish()
            return
        if flow.pending:
            await flow.flush()


def other_pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def rest_of(way: Way, told: Delivered, whole: str) -> str:
    """What of a ``whole`` answer a model says that is asked in this way."""
    return whole[len(told.text.rstrip()) :] if way.prefilled else whole


async def received(cut: Cut, spoken: ClientFormat) -> tuple[bytes, Delivered | None]:
    """All that a client got, and what of it the first provider gave; None: it had said nothing."""
    client = FakeClient()
    flow = flow_of(cut.first, client, spoken)
    await give(flow, SCRIPTS[cut.first]("first", cut.thoughts, TEXTS)[: cut.after])
    second = SCRIPTS[cut.second]
    if flow.first_chunk_at is None:
        spoken = spoken.anew()
        again = flow_of(cut.second, client, spoken)
        await give(again, second("second", ["Oh."], other_pieces("".join(TEXTS))))
        return client.received, None
    assert flow.kept is not None
    told = told_by(flow.kept, FORMATS[cut.first], spoken)
    if lacks_only_its_end(told, ASKED):
        await flow.finish()
        return client.received, told
    assert obstacle(told, ASKED) is None
    had = told.text
    way = next(ways(told, ASKED, ModelSettings("m", "p", prefill=cut.prefill)))
    pieces = other_pieces(rest_of(way, told, "".join(TEXTS)))
    spliced = SplicedClient(spoken, FORMATS[cut.second], Splice(told, way.overlap, FINISHER))
    await give(flow_of(cut.second, client, spliced, flow), second("second", ["Oh."], pieces))
    return client.received, Delivered(pieces=[had], reasoned=told.reasoned, finish_reason=None)


def check(cut: Cut, heard: Heard, told: Delivered | None, client: str) -> None:
    assert heard.text == "".join(TEXTS)
    if told is None:
        assert (heard.tokens, heard.finisher) == ((PROMPT, ANSWER), None)
        return
    thoughts = "".join(cut.thoughts)
    if client != "ours" and not told.reasoned and not told.text:
        assert heard.thought == "Oh."
    else:
        assert thoughts.startswith(heard.thought)
    if told.finish_reason is not None:
        assert heard.finisher is None
        return
    assert heard.finisher == FINISHER
    known = (PROMPT, 1) if cut.first == "anthropic" else (0, 0)
    assert heard.tokens == (known[0] + PROMPT, known[1] + ANSWER)


@pytest.mark.parametrize("prefill", [True, False], ids=["continued", "restarted"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("first", SCRIPTS)
def test_wherever_an_answer_is_cut_its_client_gets_one_whole_one(
    first: str, client: str, prefill: bool
) -> None:
    make, listen = CLIENTS[client]

    async def run() -> None:
        await trio.lowlevel.checkpoint()
        for thoughts in ([], THOUGHTS):
            events = len(SCRIPTS[first]("first", thoughts, TEXTS))
            for second in SCRIPTS:
                for after in range(events):
                    cut = Cut(first, second, after, prefill, thoughts)
                    got, told = await received(cut, make())
                    try:
                        check(cut, listen(got), told, client)
                    except AssertionError as wrong:
                        raise AssertionError(f"{cut}\n{got.decode()}") from wrong

    trio.run(run)
