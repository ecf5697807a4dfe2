"""OpenAI's answers, of which little is read: they are what the others are told in."""

from __future__ import annotations

import json

import pytest
from tests.actors.formats.heard import failure_of

from sluice.actors.formats.openai import OpenAIProvider


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"choices":"x"}', b"\xff", b'{"choices":["\xff"]}', b"[" * 10_000]
)
def test_what_is_no_completion_is_malformed(body: bytes) -> None:
    failure = failure_of(OpenAIProvider(), body)
    assert (failure.code, failure.status) == ("malformed_answer", 502)


def test_a_completion_is_not_touched() -> None:
    body = '{ "choices":[{"message":{"content":"é"},"of_the_future":1.50}] }'.encode()
    assert OpenAIProvider().check_whole(body) == body
    assert OpenAIProvider().as_completion(body) == body


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"content": None, "refusal": None, "tool_calls": []}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"reasoning": "x"}, True),
        ({"refusal": "x"}, True),
        ({"tool_calls": [{"index": 0, "id": "c"}]}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a", "transcript": "x"}}, True),
    ],
)
def test_the_wait_for_the_first_content_ends_with_whatever_a_client_was_waiting_for(
    delta: object, says: bool
) -> None:
    said = json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    chunk = OpenAIProvider().read(said.encode())
    assert chunk is not None
    assert chunk.says_something is says
