"""A frame that is garbage, in the place of each one of an answer: left out, or the answer fails.

What is left out never costs a client more than a piece of text: its stream stays valid, and no
tool is called with arguments that nobody said.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from tests.actors.fakes import FakeClient
from tests.actors.rescue.heard import CLIENTS, events_in
from tests.actors.rescue.scripts import CALLS, SCRIPTS
from tests.actors.rescue.test_every_cut import flow_of, give

from sluice.actors.failures import Failure
from sluice.actors.formats.format import ClientFormat
from sluice.actors.streams.flow import Flow

CODES = {"malformed_chunk", "malformed_answer", "provider_no_end"}
TEXTS = ["One ", "two ", "three"]


def garbled(event: bytes) -> bytes:
    """An event whose data is cut in the middle."""
    head, data, line = event.partition(b"data: ")
    return head + data + line[: len(line) // 2] + b" upstream error\n\n"


def junk(event: bytes) -> bytes:
    """Another event, which is none."""
    del event
    return b"data: <html>\n\n"


async def heard(name: str, client: ClientFormat, events: list[bytes]) -> tuple[Flow, bytes]:
    """A flow that heard ``events`` as far as it went, and what its client got."""
    socket = FakeClient()
    flow = flow_of(name, socket, client)
    try:
        await give(flow, events)
    except AssertionError:
        assert isinstance(flow.failure, Failure)
    flow._check_end()
    return flow, socket.received


def with_one_wrong(events: list[bytes]) -> Iterator[list[bytes]]:
    """The events, one after the other in two ways garbage."""
    for at, event in enumerate(events):
        for spoil in (garbled, junk):
            yield [*events[:at], spoil(event), *events[at + 1 :]]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("provider", SCRIPTS)
def test_a_stream_is_valid_without_what_is_left_out_of_it(provider: str, client: str) -> None:
    make, listen = CLIENTS[client]
    events = SCRIPTS[provider]("one", ["Hm."], TEXTS)

    async def run() -> None:
        whole = 0
        for wrong in with_one_wrong(events):
            flow, received = await heard(provider, make(), wrong)
            if not flow.ended:
                assert flow.failure is not None
                assert flow.failure.code in CODES
                continue
            text = listen(received).text
            assert text in {"".join(TEXTS)} | {"".join(TEXTS).replace(each, "") for each in TEXTS}
            whole += 1
        assert whole >= 2 * (len(TEXTS) - 1)  # all pieces, but for what would be the first event

    trio.run(run)


@pytest.mark.parametrize("client", ["openai", "anthropic", "cohere"])
@pytest.mark.parametrize("provider", CALLS)
def test_no_frame_is_left_out_of_a_call(provider: str, client: str) -> None:
    make, _ = CLIENTS[client]
    events = CALLS[provider]()

    async def run() -> None:
        ended, received = await heard(provider, make(), events)
        assert ended.ended
        calls = [event for event in events_in(received) if b"important" in event.data]
        assert len(calls) == 1
        first = next(at for at, event in enumerate(events) if b"Let" in event)
        for wrong in with_one_wrong(events[first:]):
            flow, received = await heard(provider, make(), events[:first] + wrong)
            if flow.ended:
                for piece in ("src", "important"):
                    assert piece.encode() in received, wrong
                assert received.count(b"src") == 1

    trio.run(run)
