"""OpenAI's answers, of which little is read: they are what the others are told in."""

from __future__ import annotations

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
