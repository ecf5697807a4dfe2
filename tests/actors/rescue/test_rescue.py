"""Whether and how a broken answer is gone on with."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sluice.actors.failures import Failure, UpstreamFault
from sluice.actors.formats.reading import malformed
from sluice.actors.providers.upstream_failures import (
    broken,
    internal,
    no_end_marker,
    refused,
    stopped,
    too_large,
    too_slow,
)
from sluice.actors.rescue.delivered import Delivered
from sluice.actors.rescue.overlap import Differs
from sluice.actors.rescue.rescue import Way, can_be_mended, obstacle, was_refused, ways
from sluice.actors.settings import ModelSettings
from sluice.http.formats.openai_request import AskedInOpenAI

PLAIN = ModelSettings("plain", "p")
TAKES_PREFILL = ModelSettings("takes-prefill", "p", prefill=True)


def asked(**fields: Any) -> AskedInOpenAI:
    given = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in given.items()}
    return AskedInOpenAI(raw, streamed=True)


def told(text: str) -> Delivered:
    return Delivered(pieces=[text], length=len(text))


def messages(way: Way) -> Any:
    return json.loads(way.asked.body_for("openai", None, max_tokens=1))["messages"]


@pytest.mark.parametrize(
    ("failure", "can"),
    [
        (broken(UpstreamFault("cut")), True),
        (broken(UpstreamFault("reset")), True),
        (malformed("chunk", "streaming"), True),
        (no_end_marker(), True),
        (too_large(), True),
        (too_slow("idle"), True),
        (too_slow("total", streaming=True), False),
        (internal("streaming"), False),
        (stopped(), False),
    ],
)
def test_what_another_provider_would_not_mend_is_not_rescued(failure: Failure, can: bool) -> None:
    assert can_be_mended(failure) == can


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"modalities": ["text", "audio"]},
    ],
)
def test_an_answer_that_has_a_form_is_not_gone_on_with(fields: dict[str, Any]) -> None:
    assert obstacle(told("a"), asked(**fields)) == "form"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 1, "logprobs": False},
        {"response_format": {"type": "text"}},
        {"response_format": None, "tools": [{"type": "function"}]},
        {"modalities": ["text"]},
    ],
)
def test_an_answer_that_is_text_is_gone_on_with(fields: dict[str, Any]) -> None:
    assert obstacle(told("a"), asked(**fields)) is None


def test_what_stands_in_the_way_of_what_was_told_comes_first() -> None:
    assert obstacle(Delivered(obstacle="tool_call"), asked()) == "tool_call"


def test_a_model_that_takes_a_prefill_is_given_what_was_told_without_its_last_blanks() -> None:
    first, second = ways(told("Once \n"), asked(), TAKES_PREFILL)
    assert (first.prefilled, second.prefilled) == (True, False)
    assert messages(first) == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Once"},
    ]
    assert first.overlap.beyond(" \nupon") == "upon"
    assert messages(second) == [{"role": "user", "content": "hi"}]
    with pytest.raises(Differs):
        second.overlap.beyond("Twice")


@pytest.mark.parametrize(
    ("model", "text"), [(PLAIN, "Once"), (TAKES_PREFILL, ""), (TAKES_PREFILL, " \n")]
)
def test_any_other_model_and_an_answer_without_a_word_is_started_again(
    model: ModelSettings, text: str
) -> None:
    (way,) = ways(told(text), asked(), model)
    assert not way.prefilled
    assert messages(way) == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("last", "now"),
    [
        ({"content": "Well,"}, {"content": "Well, so"}),
        ({"content": None}, {"content": " so"}),
        (
            {"content": [{"type": "text", "text": "Well,"}]},
            {"content": [{"type": "text", "text": "Well,"}, {"type": "text", "text": " so"}]},
        ),
    ],
)
def test_a_client_that_gave_a_prefill_itself_has_it_go_on(
    last: dict[str, Any], now: dict[str, Any]
) -> None:
    request = asked(messages=[{"role": "assistant", **last}])
    way = next(ways(told(" so"), request, TAKES_PREFILL))
    assert messages(way) == [{"role": "assistant", **now}]


@pytest.mark.parametrize("number", ["1.10", "1e999", "123456789012345678901234567890"])
def test_what_a_conversation_says_stays_as_it_is_digit_by_digit_when_an_answer_goes_on(
    number: str,
) -> None:
    before = f'{{"role":"user","content":"hi","x":{number}}}'
    last = f'{{"role":"assistant","content":"Well,","x":{number}}}'
    raw = {"messages": msgspec.Raw(f"[{before},{last}]".encode())}
    way = next(ways(told(" so"), AskedInOpenAI(raw, streamed=True), TAKES_PREFILL))
    body = way.asked.body_for("openai", None, max_tokens=1).decode()
    assert f"[{before},{last.replace('Well,', 'Well, so')}]" in body


def test_only_a_refusal_of_the_request_means_that_a_prefill_is_not_taken() -> None:
    prefilled, anew = ways(told("a"), asked(), TAKES_PREFILL)
    refusal = refused(400, None, b"")
    assert was_refused(prefilled, refusal)
    assert not was_refused(anew, refusal)
    assert not was_refused(prefilled, refused(503, None, b""))
    assert not was_refused(prefilled, too_slow("idle"))
