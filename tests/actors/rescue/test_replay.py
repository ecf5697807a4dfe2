"""What was told is read again from the provider's bytes: exactly what its client has had."""

from __future__ import annotations

import itertools
import json
import string

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.actors.fakes import FakeClient, FakePoller, FakeUpstream

from sluice.actors.failures import Failure
from sluice.actors.formats.format import ClientFormat
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.rescue.doubt import Doubt
from sluice.actors.rescue.replay import told_by
from sluice.actors.settings import Timeouts
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.pump import Pump
from sluice.http.formats.anthropic_format import AnthropicClient
from sluice.http.formats.openai_format import OpenAIClient
from sluice.http.formats.sluice_format import SluiceClient


def event(text: str) -> bytes:
    chunk = {"id": "one", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


END = b"data: [DONE]\n\n"
BAD = b"data: {nonsense\n\n"
JUNK = b"<html>502 Bad Gateway</html>\n\n"
ERROR = b'data: {"error": {"message": "no"}}\n\n'


def flow_of(client_format: ClientFormat, keep: int = 1 << 20) -> Flow:
    poller = FakePoller()
    return Flow(
        "0" * 32,
        FakeUpstream(poller),
        FakeClient(),
        provider_format=OpenAIProvider(),
        client_format=client_format,
        timeouts=Timeouts(),
        pump=Pump(lambda: poller, lambda _: None),
        called_at=0.0,
        opening=bytes,
        keep=keep,
    )


def translated(
    reads: list[bytes], client_format: ClientFormat, keep: int = 1 << 20
) -> tuple[Flow, bytes]:
    """A flow that was fed ``reads``, and what its client got."""

    async def run() -> tuple[Flow, bytes]:
        await trio.lowlevel.checkpoint()
        flow = flow_of(client_format, keep)
        out = b""
        for data in reads:
            if not (flow.ended or flow.failure):
                out += flow.translate(data, 0.0)
        return flow, out

    return trio.run(run, clock=trio.testing.MockClock())


def text_in(received: bytes) -> str:
    """The text of OpenAI's chunks."""
    lines = [line[6:] for line in received.split(b"\n") if line.startswith(b"data: {")]
    return "".join(json.loads(line)["choices"][0]["delta"]["content"] for line in lines)


pieces = st.one_of(
    st.text(string.ascii_letters, min_size=1, max_size=4).map(event),
    st.sampled_from([BAD, JUNK, ERROR, END, b": ping\n\n", b"event: x\ndata: {}\n\n"]),
)


@settings(deadline=None)
@given(st.lists(pieces, max_size=12), st.lists(st.integers(0, 2000), max_size=12))
def test_what_is_remembered_is_what_was_told_whatever_came_and_however_it_was_cut(
    said: list[bytes], cuts: list[int]
) -> None:
    body = event("first") + b"".join(said)
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    reads = [body[a:b] for a, b in itertools.pairwise(places)]
    flow, received = translated(reads, OpenAIClient(usage=False))
    assert flow.kept is not None
    assert told_by(flow.kept, OpenAIProvider(), OpenAIClient(usage=False)).text == text_in(received)


def test_without_a_bound_nothing_is_kept_and_past_it_nothing_either() -> None:
    for keep in (0, 100):
        flow, _ = translated([event("a") * 3], OpenAIClient(usage=False), keep)
        assert flow.kept is None


@pytest.mark.parametrize("bad", [BAD, JUNK], ids=["no JSON", "no event"])
@pytest.mark.parametrize("together", [True, False], ids=["in one read", "read by read"])
def test_a_malformed_frame_between_good_ones_is_left_out_and_counted(
    bad: bytes, together: bool
) -> None:
    reads = [event("a"), bad, event("b"), bad, event("c"), END]
    flow, received = translated([b"".join(reads)] if together else reads, OpenAIClient(usage=False))
    assert (text_in(received), flow.dropped, flow.ended) == ("abc", 2, True)


@pytest.mark.parametrize(
    "said",
    [
        [BAD],
        [BAD, event("a")],
        [event("a"), BAD, BAD, event("b")],
        [event("a"), BAD, JUNK, event("b")],
        [event("a"), BAD, END],
        [event("a"), BAD, event("b"), BAD, BAD],
    ],
    ids=["alone", "first", "two", "two of a kind", "last", "later"],
)
def test_a_malformed_frame_that_is_first_or_last_or_one_of_two_is_a_failure(
    said: list[bytes],
) -> None:
    flow, _ = translated(said, OpenAIClient(usage=False))
    if said != [BAD] or flow.failure is not None:
        assert flow.failure is not None
        assert flow.failure.code == "malformed_chunk"
    assert not flow.ended


def test_an_error_that_follows_a_malformed_frame_is_told_itself() -> None:
    flow, _ = translated([event("a"), BAD, ERROR], OpenAIClient(usage=False))
    assert flow.failure is not None
    assert flow.failure.code == "provider_error_in_stream"


def test_only_what_is_malformed_may_be_left_out() -> None:
    doubt = Doubt(OpenAIProvider().read, OpenAIProvider().follows)
    with pytest.raises(Failure):
        doubt.over(Failure("provider_error", "streaming", "no", status=502, code="other"))


def test_what_could_not_be_told_is_not_taken_for_told() -> None:
    odd = event("b").replace(b'"content"', b'"reasoning_content": {}, "reasoning": 5, "content"')
    flow, _ = translated([event("a"), odd], AnthropicClient("m"))
    assert flow.failure is not None
    assert flow.kept is not None
    assert told_by(flow.kept, OpenAIProvider(), AnthropicClient("m")).text == "a"


def test_our_own_format_is_remembered_by_its_provider_too() -> None:
    reads = [event("a"), event("b")]
    flow, _ = translated(reads, SluiceClient())
    assert flow.kept is not None
    assert told_by(flow.kept, OpenAIProvider(), SluiceClient()).text == "ab"


def test_a_number_that_nobody_can_hold_is_an_obstacle_and_no_mistake_of_ours() -> None:
    huge = event("b").replace(b'{"id"', b'{"x": 1e999, "id"')
    flow, _ = translated([event("a"), huge], OpenAIClient(usage=False))
    assert flow.kept is not None
    assert told_by(flow.kept, OpenAIProvider(), OpenAIClient(usage=False)).obstacle == "not_text"
