"""What providers say when they refuse: the reasons that decide what may be tried next."""

from __future__ import annotations

import msgspec
import pytest

from sluice.actors.breakers.verdicts import counts
from sluice.actors.formats.provider_errors import told_in
from sluice.actors.providers.attempts import judge
from sluice.actors.providers.upstream_failures import in_band, refused
from sluice.ops.simulator import anthropic_errors, openai_errors
from sluice.ops.simulator.cohere import Cohere
from sluice.ops.simulator.dialect import Identity, Problem, ProblemKind

IDENTITY = Identity(id="0" * 32, created=0)


def body_of(kind: ProblemKind, provider_format: str) -> tuple[int, bytes]:
    problem = Problem(kind=kind, detail="")
    if provider_format == "anthropic":
        return anthropic_errors.rendered(problem, "m", IDENTITY)
    if provider_format == "cohere":
        return Cohere().problem(problem, None, IDENTITY)
    return openai_errors.rendered(problem, "m")


FORMATS = pytest.mark.parametrize("provider_format", ["openai", "anthropic", "cohere"])


@FORMATS
@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("context_length", "context_length_exceeded", 400),
        ("content_policy", "content_policy", 400),
        ("no_prefill", "provider_refused_request", 400),
        ("model_not_found", "provider_refused_request", 404),
        ("rate_limit", "provider_rate_limited", 429),
        ("server_error", "provider_status", 502),
        ("unavailable", "provider_unavailable", 503),
        ("unauthorized", "provider_credentials", 502),
    ],
)
def test_every_refusal_has_the_same_code_whichever_format_it_is_told_in(
    kind: ProblemKind, code: str, status: int, provider_format: str
) -> None:
    failure = refused(*_with_retry_after(body_of(kind, provider_format)), provider_format)
    assert (failure.code, failure.status) == (code, status)
    assert (failure.told is None) == (status > 404)
    if failure.told is not None:
        assert failure.body_in(provider_format)
        assert failure.words == failure.told.message


def _with_retry_after(told: tuple[int, bytes]) -> tuple[int, None, bytes]:
    return told[0], None, told[1]


def test_anthropics_529_is_a_provider_that_is_overloaded_and_asks_for_time() -> None:
    status, body = body_of("overloaded", "anthropic")
    failure = refused(status, 7.0, body, "anthropic")
    assert (failure.code, failure.status, failure.retry_after) == ("provider_overloaded", 503, 7.0)


@pytest.mark.parametrize("status", [400, 429, 500, 503, 529])
def test_retry_after_is_kept_whatever_the_status(status: int) -> None:
    assert refused(status, 3.0, b"").retry_after == 3.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "x", "code": "context_length_exceeded"}, "context_length_exceeded"),
        (
            {"message": "This model's maximum context length is 8 tokens.", "code": 400},
            "context_length_exceeded",
        ),
        ({"message": "x", "code": "content_filter"}, "content_policy"),
        ({"message": "x", "code": "content_policy_violation"}, "content_policy"),
        ({"message": "The answer's content is odd.", "code": None}, None),
    ],
)
def test_openais_codes_and_the_sentences_of_those_who_speak_like_it_are_known(
    error: dict[str, object], reason: str | None
) -> None:
    told = told_in(msgspec.json.encode({"error": error}), "openai")
    assert told is not None
    assert told.reason == reason


@FORMATS
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error":"x"}', b"\xff", b"[" * 10_000])
def test_what_is_no_error_body_tells_nothing(body: bytes, provider_format: str) -> None:
    assert told_in(body, provider_format) is None
    assert refused(400, None, body, provider_format).words == "The provider refused the request."


def test_an_error_in_the_middle_of_an_answer_keeps_its_reason_and_else_says_nothing_of_it() -> None:
    body = b'{"error":{"message":"Output blocked by content filtering policy","type":"x"}}'
    assert in_band(told_in(body, "anthropic")).code == "content_policy"
    other = in_band(told_in(b'{"error":{"message":"secret","type":"x"}}', "anthropic"))
    assert (other.code, "secret" in other.words) == ("provider_error_in_stream", False)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("invalid_request_error", "provider_refused_request", 400),
        ("BadRequestError", "provider_refused_request", 400),
        ("not_found_error", "provider_refused_request", 404),
        ("request_too_large", "provider_refused_request", 413),
        ("authentication_error", "provider_credentials", 502),
        ("permission_error", "provider_credentials", 502),
        ("overloaded_error", "provider_error_in_stream", 502),
        ("api_error", "provider_error_in_stream", 502),
    ],
)
@pytest.mark.parametrize("provider_format", ["openai", "anthropic"])
def test_an_error_in_the_middle_of_an_answer_is_what_a_status_would_have_told(
    kind: str, code: str, status: int, provider_format: str
) -> None:
    body = msgspec.json.encode({"type": "error", "error": {"message": "why", "type": kind}})
    failure = in_band(told_in(body, provider_format))
    assert (failure.code, failure.status, failure.stage) == (code, status, "streaming")
    assert (failure.words == "why") == (status < 500)
    assert counts(failure, answered=False) == (code == "provider_error_in_stream")
    assert (judge(failure)[1] == "retry") == (code == "provider_error_in_stream")


def test_what_a_provider_says_of_our_key_in_the_middle_of_an_answer_reaches_no_client() -> None:
    error = {"message": "Incorrect API key provided: sk-1", "type": "invalid_request_error"}
    failure = in_band(told_in(msgspec.json.encode({"error": error}), "openai"))
    assert (failure.code, failure.told) == ("provider_credentials", None)
    assert "sk-1" not in failure.words
