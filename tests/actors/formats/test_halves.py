"""Texts cut by their UTF-16: a half of a character, escaped, at the end of one event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors.formats.heard import joined

from sluice.actors.failures import Failure
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.formats.reading import without_halves
from sluice.actors.formats.sse import SseEvent

HALF = rb"a\ud83d"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\uD83D"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d\n"', rb'"\\\ufffd\n"'),
        (rb'"\ud83', rb'"\ud83'),
    ],
)
def test_a_half_alone_is_a_replacement_character_and_a_whole_pair_stays(
    data: bytes, told: bytes
) -> None:
    assert without_halves(data) == told


@given(st.binary())
def test_what_has_no_half_stays_as_it_is_and_once_is_enough(data: bytes) -> None:
    assert without_halves(without_halves(data)) == without_halves(data)


def test_openais_reader_takes_it_and_leaves_its_event_alone() -> None:
    said = rb'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % HALF
    chunk = OpenAIProvider().read(said)
    assert chunk is not None
    assert joined([chunk], "content") == "a\ufffd"
    assert OpenAIProvider().skim(said) is not None
    body = rb'{"choices":[{"message":{"content":"%b"}}]}' % HALF
    assert OpenAIProvider().check_whole(body) == body
    assert rb"a\ufffd" in OpenAIProvider().as_completion(body)


def test_the_readers_of_named_events_take_it() -> None:
    said = SseEvent(
        rb'{"type":"content_block_delta","delta":{"type":"text_delta","text":"%b"}}' % HALF,
        b"content_block_delta",
    )
    assert joined([AnthropicProvider().reader().read(said)], "content") == "a\ufffd"
    AnthropicProvider().reader().skim(said)
    said = SseEvent(
        rb'{"type":"content-delta","delta":{"message":{"content":{"text":"%b"}}}}' % HALF,
        b"content-delta",
    )
    assert joined([CohereProvider().reader().read(said)], "content") == "a\ufffd"
    CohereProvider().reader().skim(said)


def test_garbage_with_a_half_in_it_is_garbage() -> None:
    for read in (OpenAIProvider().read, OpenAIProvider().skim):
        with pytest.raises(Failure):
            read(rb'{"choices": "\ud83d')
