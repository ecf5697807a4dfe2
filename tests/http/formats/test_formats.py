from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletionChunk
from tests.http.said import BROKEN

from sluice.actors.failures import Failure, Told
from sluice.actors.formats.format import Choice, Chunk, ClientFormat, Delta, Event
from sluice.actors.formats.sse import SseEvent
from sluice.actors.providers.upstream_failures import refused
from sluice.http.formats.openai_format import OpenAIClient
from sluice.http.formats.sluice_format import SluiceClient

CHUNK = msgspec.json.Decoder(Chunk)
BUSY = Failure(
    "connection_pool_exhausted", "admission", "Full.", status=429, code="full", retry_after=1.2
)
TOLD = Failure(
    "validation_error",
    "provider_call",
    "The provider refused.",
    status=400,
    code="refused",
    param="messages",
    told=Told(
        "Too long.",
        "messages",
        body=b'{"error":{"message":"Too long.","param":"messages","code":"context"}}',
        format="openai",
    ),
)
TEXT = b'{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}'
TEXT_NULL = TEXT[:-1] + b',"usage":null}'
STOP = b'{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
USAGE = b'{"id":"c","choices":[],"usage":{"prompt_tokens":1,\n "completion_tokens":2}}'


def render(client: ClientFormat, data: bytes) -> list[Event]:
    made = client.render(data, CHUNK.decode(data))
    assert not isinstance(made, SseEvent)
    return [Event(made)] if isinstance(made, bytes) else list(made)


def decoded(data: bytes) -> Any:
    return msgspec.json.decode(data)


# -- OpenAI ------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        STOP,
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}',
        b'{"choices":[{"delta":{"reasoning_content":"Hm"},"logprobs":{"content":[]}}]}',
        b'{"choices":[{"index":1,"delta":{"content":"B"}}], "x_new": [1, 2]}',
        b'{"choices":[],"prompt_filter_results":[]}',
    ],
)
def test_openai_chunks_pass_byte_for_byte(usage: bool, data: bytes) -> None:
    assert render(OpenAIClient(usage=usage), data) == [Event(data)]


@pytest.mark.parametrize("data", [TEXT_NULL, USAGE])
def test_usage_that_was_asked_for_passes_byte_for_byte(data: bytes) -> None:
    assert render(OpenAIClient(usage=True), data) == [Event(data)]


def test_usage_that_was_not_asked_for_is_taken_out() -> None:
    client = OpenAIClient(usage=False)
    assert render(client, USAGE) == []
    assert render(client, TEXT_NULL) == [Event(TEXT)]
    spaced = TEXT[:-1] + b', "usage": null}'
    assert render(client, spaced) == [Event(TEXT)]


def test_text_that_looks_like_a_usage_stays() -> None:
    text = {"choices": [{"delta": {"content": ',"usage":null'}}], "usage": None}
    (event,) = render(OpenAIClient(usage=False), msgspec.json.encode(text))
    assert decoded(event.data) == {"choices": [{"delta": {"content": ',"usage":null'}}]}


def test_a_usage_beside_content_stays_because_the_content_must() -> None:
    data = TEXT[:-1] + b',"usage":{"prompt_tokens":1}}'
    assert render(OpenAIClient(usage=False), data) == [Event(data)]


def test_openai_ends_with_done_and_starts_with_nothing() -> None:
    client = OpenAIClient(usage=False)
    assert list(client.end()) == [Event(b"[DONE]")]
    assert client.preamble() == b""


# -- OpenAI, translated ------------------------------------------------------------------------


def composed(client: OpenAIClient, *chunks: Chunk) -> list[dict[str, Any]]:
    said: list[bytes] = []
    for chunk in chunks:
        made = client.compose(None, chunk)
        said += [made] if isinstance(made, bytes) else [event.data for event in made]
    for data in said:
        ChatCompletionChunk.model_validate_json(data, strict=True)
    return [decoded(data) for data in said]


DELTAS = (
    Chunk([Choice(0, Delta(role="assistant", content=""))]),
    Chunk(),
    Chunk([Choice(0, Delta(reasoning_content="Hm"))]),
    Chunk([Choice(0, Delta(content="Hi"))]),
    Chunk(
        [Choice(0, Delta(), "stop")],
        {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    ),
)


def test_translated_chunks_are_openais_with_one_head_and_a_usage_of_its_own() -> None:
    said = composed(OpenAIClient(usage=True, model="m"), *DELTAS)
    heads = {(each["id"], each["object"], each["created"], each["model"]) for each in said}
    assert len(heads) == 1
    assert said[0]["model"] == "m"
    assert [each["choices"][0]["delta"] for each in said[:-1]] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm"},
        {"content": "Hi"},
        {},
    ]
    assert [each["choices"][0]["finish_reason"] for each in said[:-1]] == [None, None, None, "stop"]
    assert (said[-1]["choices"], said[-1]["usage"]["total_tokens"]) == ([], 3)


def test_a_usage_that_was_not_asked_for_is_not_told_of_a_translated_answer_either() -> None:
    client = OpenAIClient(usage=False, model="m")
    said = composed(client, *DELTAS, Chunk(usage={"total_tokens": 3}))
    assert len(said) == 4
    assert not [each for each in said if "usage" in each]


def test_two_answers_have_two_ids() -> None:
    heads = [composed(OpenAIClient(usage=False, model="m"), DELTAS[0])[0]["id"] for _ in "ab"]
    assert heads[0] != heads[1]


def test_a_whole_translated_answer_gets_its_time_and_the_model_if_nobody_said_it() -> None:
    client = OpenAIClient(usage=False, model="m")
    told = decoded(client.whole(b'{"id":"x","choices":[]}'))
    assert (told["id"], told["choices"], told["model"]) == ("x", [], "m")
    assert isinstance(told["created"], int)
    assert decoded(client.whole(b'{"choices":[],"model":"theirs"}'))["model"] == "theirs"


def test_openai_errors_are_those_of_its_api() -> None:
    client = OpenAIClient(usage=False)
    error = {
        "message": "It broke.",
        "type": "server_error",
        "param": None,
        "code": "provider_cut",
    }
    assert decoded(client.failure_body(BROKEN)) == {"error": error}
    event = client.failure_event(BROKEN)
    assert (event.name, decoded(event.data)) == (b"", {"error": error})
    assert decoded(client.failure_body(BUSY))["error"]["type"] == "rate_limit_error"


def test_what_a_provider_found_wrong_reaches_an_openai_client_in_its_words() -> None:
    assert OpenAIClient(usage=False).failure_body(TOLD) == TOLD.body_in("openai")


# -- ours --------------------------------------------------------------------------------------


def test_text_is_an_unnamed_event() -> None:
    assert render(SluiceClient(), TEXT) == [Event(b'{"text":"Hi"}')]


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
        b'{"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}',
        b'{"choices":[]}',
        TEXT_NULL.replace(b'"Hi"', b"null"),
    ],
)
def test_a_chunk_without_text_is_no_event(data: bytes) -> None:
    assert render(SluiceClient(), data) == []


def test_usage_is_a_named_event_on_one_line() -> None:
    (event,) = render(SluiceClient(), USAGE)
    assert event.name == b"usage"
    assert b"\n" not in event.data
    assert decoded(event.data) == {"prompt_tokens": 1, "completion_tokens": 2}


def test_done_tells_how_the_answer_ended() -> None:
    client = SluiceClient()
    render(client, TEXT)
    render(client, STOP)
    render(client, USAGE)
    (event,) = client.end()
    assert (event.name, decoded(event.data)) == (b"done", {"finish_reason": "stop"})


def test_a_reason_that_is_empty_is_none() -> None:
    client = SluiceClient()
    render(client, STOP)
    render(client, TEXT.replace(b"null", b'""'))
    (event,) = client.end()
    assert decoded(event.data) == {"finish_reason": "stop"}


def test_a_browser_is_told_how_soon_to_reconnect() -> None:
    assert SluiceClient().preamble() == b"retry: 1000\n"


def test_our_errors_say_what_the_metrics_count() -> None:
    client = SluiceClient()
    event = client.failure_event(BROKEN)
    assert event.name == b"failure"
    assert decoded(event.data) == {
        "error": {
            "message": "It broke.",
            "type": "provider_error",
            "stage": "streaming",
            "code": "provider_cut",
            "param": None,
        }
    }
    assert decoded(client.failure_body(BUSY))["error"]["retry_after"] == 2


def test_what_a_provider_found_wrong_is_told_in_our_shape_and_its_words() -> None:
    error = decoded(SluiceClient().failure_body(TOLD))["error"]
    assert (error["message"], error["param"], error["code"]) == (
        "Too long.",
        "messages",
        "refused",
    )


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error":"x"}', b"\xff", b"[" * 10_000])
def test_a_provider_whose_error_cannot_be_read_is_told_of_in_our_words(body: bytes) -> None:
    failure = refused(400, None, body)
    assert decoded(SluiceClient().failure_body(failure))["error"]["message"] == failure.message


def test_another_formats_refusal_is_told_in_the_clients_shape_and_the_providers_words() -> None:
    error = b'{"type":"invalid_request_error","message":"prompt is too long"}'
    body = b'{"type":"error","error":%b}' % error
    said = OpenAIClient(usage=False).failure_body(refused(400, None, body, "anthropic"))
    assert decoded(said) == {
        "error": {
            "message": "prompt is too long",
            "type": "invalid_request_error",
            "param": None,
            "code": "context_length_exceeded",
        }
    }
