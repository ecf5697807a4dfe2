"""The short way of text that is translated: its client gets what the long way would have made."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from tests.actors.fakes import FakeClient, FakePoller, FakeUpstream
from tests.actors.formats.mixed import CHANGED, DATA
from tests.actors.formats.test_text_alone import PROVIDERS, USUAL

from sluice.actors.formats.format import Chunk, ClientFormat, ProviderFormat
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.settings import Timeouts
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.pump import Pump
from sluice.http.formats.anthropic_format import AnthropicClient
from sluice.http.formats.cohere_format import CohereClient
from sluice.http.formats.openai_format import OpenAIClient
from sluice.http.formats.sluice_format import SluiceClient

MODEL = "100%d %b"


class OpenAIByTheLongWay(OpenAIClient):
    def text_form(self) -> None:  # type: ignore[override]
        return None


class AnthropicByTheLongWay(AnthropicClient):
    def text_form(self) -> None:
        return None


class CohereByTheLongWay(CohereClient):
    def text_form(self) -> None:
        return None


class SluiceByTheLongWay(SluiceClient):
    def text_form(self) -> None:  # type: ignore[override]
        return None


CLIENTS: dict[str, tuple[Callable[[], ClientFormat], Callable[[], ClientFormat]]] = {
    "openai": (
        lambda: OpenAIClient(usage=True, model=MODEL),
        lambda: OpenAIByTheLongWay(usage=True, model=MODEL),
    ),
    "anthropic": (lambda: AnthropicClient(MODEL), lambda: AnthropicByTheLongWay(MODEL)),
    "cohere": (CohereClient, CohereByTheLongWay),
    "sluice": (SluiceClient, SluiceByTheLongWay),
}
PAIRS = [(p, c) for p in PROVIDERS for c in CLIENTS if p != c]

OTHER = {
    "openai": b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}',
    "anthropic": b'{"type":"content_block_delta","delta":{"thinking":"hm"}}',
    "cohere": b'{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"hm"}}}',
}
"""What is no text."""
BEGUN = {
    "anthropic": b'{"type":"content_block_start","index":0,"content_block":{"type":"text"}}',
    "cohere": b'{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text"}}}}',
}
"""What text comes after, where that is marked."""

_MADE_UP = re.compile(rb'"id":"[^"]+"|"created":\d+')
"""What differs from answer to answer."""


class Told:
    """What a flow has told, and what it knows of it."""

    def __init__(self, provider: ProviderFormat, client: ClientFormat) -> None:
        poller = FakePoller()
        self.client = client
        self.out = b""
        self.flow = Flow(
            "0" * 32,
            FakeUpstream(poller),
            FakeClient(),
            provider_format=provider,
            client_format=client,
            timeouts=Timeouts(),
            pump=Pump(lambda: poller, lambda _: None),
            called_at=0.0,
            opening=bytes,
            keep=1 << 20,
        )

    def read(self, data: bytes, now: float) -> None:
        if not (self.flow.ended or self.flow.failure):
            self.out += self.flow.translate(data, now)

    @property
    def state(self) -> Any:
        flow, failure = self.flow, self.flow.failure
        return (
            _MADE_UP.sub(b"", self.out),
            (flow.chunks, flow._frames.events, flow.dropped, flow.kept),
            (flow.ended, flow.first_chunk_at, flow.first_content_at),
            None if failure is None else (failure.code, failure.stage, failure.message),
        )


def run(test: Callable[[], object]) -> None:
    """On virtual time: a flow asks for it."""

    async def body() -> None:
        await trio.lowlevel.checkpoint()
        test()

    trio.run(body, clock=trio.testing.MockClock())


def framed(provider: ProviderFormat, said: bytes, name: str) -> bytes:
    event = f"event: {name}\n".encode() if provider.named else b""
    return event + b"data: " + said + b"\n\n"


def frames(name: str) -> st.SearchStrategy[bytes]:
    """Frames as a provider may send them."""
    event = DATA[name].map(lambda said: framed(PROVIDERS[name], said, "some"))
    usual = st.just(framed(PROVIDERS[name], USUAL[name], "some"))
    other = [b": ping\n\n", b"event: error\ndata: {}\n\n", b"<html>\n\n", b"id: 3\n"]
    return st.one_of(event, event, usual, st.sampled_from(other))


FRAMES = {name: frames(name) for name in PROVIDERS}


@given(pair=st.sampled_from(PAIRS), data=st.data(), cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_a_client_gets_and_a_flow_knows_the_same_by_both_ways(
    pair: tuple[str, str], data: st.DataObject, cuts: list[int]
) -> None:
    provider, client = pair
    together = st.lists(FRAMES[provider], min_size=1, max_size=3).map(b"".join)
    said = data.draw(st.lists(together, max_size=8))
    said.insert(0, framed(PROVIDERS[provider], USUAL[provider], "first"))
    body = b"".join(said)
    places = set(itertools.accumulate(map(len, said), initial=0))
    places |= {cut % (len(body) + 1) for cut in cuts}
    reads = [body[start:end] for start, end in itertools.pairwise(sorted(places))]
    run(lambda: assert_told_alike(provider, client, reads))


@pytest.mark.parametrize(("provider", "client"), PAIRS, ids=[f"{p} to {c}" for p, c in PAIRS])
def test_a_text_after_a_malformed_frame_ends_the_doubt_about_it(provider: str, client: str) -> None:
    text, other, bad = (
        framed(PROVIDERS[provider], said, "some")
        for said in (USUAL[provider], OTHER[provider], b"{nonsense")
    )

    begun = framed(PROVIDERS[provider], BEGUN[provider], "some") if provider in BEGUN else b""

    def test() -> None:
        told = assert_told_alike(
            provider, client, [begun, text, other, text + bad, text, bad, text]
        )
        assert told.dropped == 2

    run(test)


@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "anthropic"])
def test_a_text_that_ends_no_doubt_leaves_the_next_one_in_it(client: str) -> None:
    said = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}'
    text, half, bad = (
        framed(PROVIDERS["anthropic"], each, "some")
        for each in (said % b"its ", said % rb"\ud800", b"{nonsense")
    )

    def test() -> None:
        told = assert_told_alike("anthropic", client, [text, text, bad + half + text])
        assert told.failure is not None

    run(test)


@pytest.mark.parametrize(("provider", "client"), PAIRS, ids=[f"{p} to {c}" for p, c in PAIRS])
def test_whatever_comes_between_two_texts_is_told_the_same_by_both_ways(
    provider: str, client: str
) -> None:
    def test() -> None:
        for changed in CHANGED[provider]:
            two = framed(PROVIDERS[provider], USUAL[provider], "some") * 2
            other = framed(PROVIDERS[provider], changed, "some")
            assert_told_alike(provider, client, [two, other, two])

    run(test)


def assert_told_alike(provider: str, client: str, reads: list[bytes]) -> Flow:
    """By both ways, after each of the ``reads`` and at the end."""
    short, long = (Told(PROVIDERS[provider], make()) for make in CLIENTS[client])
    for now, data in enumerate(reads):
        for each in (short, long):
            each.read(data, float(now))
        assert short.state == long.state
    ends = [_MADE_UP.sub(b"", repr(list(each.client.end())).encode()) for each in (short, long)]
    assert ends[0] == ends[1]
    return short.flow


@pytest.mark.parametrize(("provider", "client"), PAIRS, ids=[f"{p} to {c}" for p, c in PAIRS])
def test_text_that_follows_text_is_not_composed(
    provider: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, _ = CLIENTS[client]
    composed: list[Chunk] = []
    compose = type(make()).compose

    def counted(self: Any, said: object, chunk: Chunk) -> Any:
        composed.append(chunk)
        return compose(self, said, chunk)

    monkeypatch.setattr(type(make()), "compose", counted)
    speaker = PROVIDERS[provider]
    said = framed(speaker, USUAL[provider], "some")

    def test() -> None:
        told = Told(speaker, make())
        for number in (3, 1, 2):
            told.read(said * number, 1.0)
        assert len(composed) == 1
        assert told.out.count("é".encode()) == 6

    run(test)


class Asked(OpenAIProvider):
    """Counts how often it is asked for text alone."""

    times = 0

    def text_alone(self, said: bytes) -> str:
        self.times += 1
        return super().text_alone(said)


def test_only_after_a_text_another_one_is_looked_for() -> None:
    text, thought = (framed(PROVIDERS["openai"], said["openai"], "") for said in (USUAL, OTHER))

    def test() -> None:
        provider = Asked()
        told = Told(provider, AnthropicClient(MODEL))
        for said, times in ((text, 0), (text, 1), (thought * 5, 2), (text, 2), (text, 3)):
            told.read(said, 1.0)
            assert provider.times == times

    run(test)
