from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.actors.failures import Failure
from sluice.http.formats.openai_request import for_provider, read_chat
from sluice.http.formats.sluice_format import SluiceClient
from sluice.http.json_body import MOST_BRACKETS, MOST_STRINGS, check_shape
from sluice.http.stream_request import read_stream
from sluice.http.stream_route import read_query
from sluice.http.validation import Fields

TEXT = st.text(alphabet=st.sampled_from('[]{}"\\ab,:é '), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
KNOWN = st.sampled_from(["model", "messages", "prompt", "n", "stream", "stream_options", "stop"])
OBJECTS = st.dictionaries(KNOWN | TEXT, VALUES, max_size=6)


def depth_of(value: Any) -> int:
    """How deep `check_shape` finds it, by another way."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def refusal(function: Callable[..., Any], *arguments: Any) -> Failure | None:
    """What ``function`` raised; it may raise nothing else."""
    try:
        function(*arguments)
    except Failure as failure:
        return failure
    return None


@given(VALUES, st.integers(0, 6))
def test_the_depth_of_json_is_that_of_its_arrays_and_objects(value: Any, limit: int) -> None:
    refused = refusal(check_shape, msgspec.json.encode(value), limit)
    assert (refused is not None) == (depth_of(value) > limit)


@pytest.mark.parametrize(
    ("piece", "most"),
    [
        (b'"a"', MOST_STRINGS),
        (b'"\\\\"', 2 * MOST_STRINGS),  # of which one quote is taken for an escaped one
        (b'{"":0}', MOST_STRINGS),
        (b"[]", MOST_BRACKETS // 2),
    ],
)
def test_what_would_hold_everybody_up_is_not_read(piece: bytes, most: int) -> None:
    more, less = b",".join([piece] * (most + 1)), b",".join([piece] * (most - 1))
    refused = refusal(check_shape, b"[" + more + b"]", 64)
    assert refused is not None
    assert refused.code == "json_too_complex"
    assert refusal(check_shape, b"[" + less + b"]", 64) is None


@pytest.mark.parametrize("text", ['"', '\\"', "\\", '["a"],', "[{"])
def test_what_stands_within_one_string_makes_no_json_too_complex(text: str) -> None:
    assert refusal(check_shape, msgspec.json.encode([text * MOST_STRINGS * 2]), 64) is None


@given(st.binary(max_size=60) | OBJECTS.map(msgspec.json.encode))
@example(b'{"model":"m","messages":[{"role":"user"}],"n":' + b"9" * 500 + b"}")
@example(b'{"model":"\\ud800","messages":[{"role":"user"}]}')
@example(b'{"model":"m","messages":[{"role":"user"}],"stream_options":{"a":"\\ud800"}}')
@example(b'{"model":"m","messages":[{"role":"user"}],"temperature":1e999}')
def test_whatever_a_client_sends_is_read_or_refused_as_its_mistake(body: bytes) -> None:
    def serve(read: Callable[[bytes, int], tuple[Any, Fields]]) -> None:
        _, fields = read(body, 64)
        for_provider(fields, "model", stream=True)

    for refused in (refusal(serve, read_chat), refusal(serve, read_stream)):
        if refused is not None:
            assert (refused.error_type, refused.status) == ("validation_error", 400)


@given(st.binary(max_size=40))
def test_whatever_stands_in_a_query_is_read_or_refused(query: bytes) -> None:
    refusal(read_query, b"model=m&prompt=" + query)


@given(OBJECTS, st.booleans())
def test_what_a_provider_gets_is_what_the_client_sent_but_for_the_fields_we_own(
    more: dict[str, Any], stream: bool
) -> None:
    ours = {"model", "stream", "stream_options", "prompt", "n", "stop"}
    asked = {k: v for k, v in more.items() if k not in ours}
    asked |= {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    _, fields = read_chat(msgspec.json.encode(asked), 64)
    sent = msgspec.json.decode(for_provider(fields, None, stream=stream))
    added = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    assert sent == msgspec.json.decode(msgspec.json.encode(asked | added))


def test_json_as_deep_as_can_be_configured_is_read() -> None:
    nested = b"[" * 498 + b"]" * 498
    body = b'{"model":"m","messages":[{"role":"user"}],"stream_options":{"a":' + nested + b"}}"
    _, fields = read_chat(body, 500)
    assert nested in for_provider(fields, None, stream=True)


@given(TEXT)
def test_a_failure_is_one_line_whatever_it_quotes(text: str) -> None:
    failure = Failure("provider_error", "streaming", text + "\r\n", status=502, code="c")
    assert not {10, 13} & set(SluiceClient().failure_event(failure).data)
