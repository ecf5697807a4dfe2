from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.http.http1.body import EXTRA_LIMIT, LINE_LIMIT, Body, ChunkedBody, SizedBody
from sluice.http.http1.refusals import Refused


def feed(body: Body, *pieces: bytes) -> tuple[bytes, bytes]:
    """All of the body, and what came after it."""
    payload, after = b"", b""
    for piece in pieces:
        if body.complete:
            after += piece
            continue
        got, rest = body.feed(piece)
        payload += got
        after += rest
    return payload, after


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.binary(max_size=50), st.binary(max_size=20), st.lists(st.integers(0, 100)))
def test_a_sized_body_ends_after_its_size(content: bytes, after: bytes, cuts: list[int]) -> None:
    body = SizedBody(len(content))
    assert feed(body, *split(content + after, cuts)) == (content, after)
    assert body.complete


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    st.binary(max_size=20),
    st.lists(st.integers(0, 300)),
)
def test_a_chunked_body_ends_where_it_says_however_it_is_split(
    chunks: list[bytes], after: bytes, cuts: list[int]
) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    body = ChunkedBody(1000)
    data = coded + b"0\r\n\r\n" + after
    assert feed(body, *split(data, cuts)) == (b"".join(chunks), after)
    assert body.complete


def test_extensions_and_trailers_are_read_and_dropped() -> None:
    body = ChunkedBody(100)
    data = b"3;a=b;c\r\nabc\r\n0;last\r\nX-Sum: 5\r\nY:\r\n\r\nnext"
    assert feed(body, data) == (b"abc", b"next")


@pytest.mark.parametrize("data", [
    b"\r\n",
    b"x\r\n",
    b"-1\r\n",
    b"+1\r\n",
    b"0x1\r\n",
    b"1 \r\n",
    b" 1\r\n",
    b"1\n",
    b"1\na",
    b"1;\0\r\n",
    b"1;a\nb\r\n",
    b"1111111111111111\r\n",
    b"1\r\nab\r\n",
    b"1\r\na\n",
    b"1\r\na\rb",
    b"0\r\nno trailer\r\n",
    b"0\r\n folded: x\r\n",
    b"0\r\nx: \0\r\n",
    b"a" * (LINE_LIMIT + 1),
    b"1;" + b"a" * LINE_LIMIT + b"\r\n",
    b"0\r\nx: " + b"a" * LINE_LIMIT,
    (b"1;" + b"a" * 1000 + b"\r\na\r\n") * (EXTRA_LIMIT // 1000 + 1),
    b"0\r\n" + (b"x: " + b"a" * 1000 + b"\r\n") * (EXTRA_LIMIT // 1000 + 1),
])  # fmt: skip
def test_a_malformed_chunk_is_a_400(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        feed(ChunkedBody(100_000), data, b"\r\n", b"\r\n")
    assert caught.value.status == 400


def test_chunks_over_the_limit_are_a_413_when_they_are_announced() -> None:
    body = ChunkedBody(10)
    assert feed(body, b"a\r\n0123456789\r\n") == (b"0123456789", b"")
    with pytest.raises(Refused) as caught:
        body.feed(b"1\r\n")
    assert caught.value.status == 413
    assert "10 bytes" in caught.value.message


chunky = st.lists(
    st.sampled_from([b"1", b"0", b"a", b"\r\n", b"\r", b"\n", b";", b"x: y", b" ", b"\0", b"5"]),
    max_size=12,
)


@settings(max_examples=500, deadline=None)
@given(chunky)
def test_whatever_is_taken_for_a_body_h11_takes_for_the_same(parts: list[bytes]) -> None:
    data = b"".join(parts)
    body = ChunkedBody(10_000)
    try:
        payload, after = feed(body, data)
    except Refused:
        return
    if not body.complete:
        return
    assert (payload, after) == by_h11(data)


def by_h11(data: bytes) -> tuple[bytes, bytes]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.receive_data(data)
    payload = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            payload += event.data
        elif isinstance(event, h11.EndOfMessage):
            return payload, connection.trailing_data[0]
        else:
            assert isinstance(event, h11.Request)
