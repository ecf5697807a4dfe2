from __future__ import annotations

import pytest
from tests.actors.upstream.loopback import chunked, counted

from sluice.actors.failures import UpstreamFault
from sluice.actors.upstream.response import HEAD_LIMIT, HEADERS_LIMIT, ResponseReader


def read(stream: bytes, cut: int, reader: ResponseReader | None = None) -> bytes:
    """The body, fed as a connection feeds it: the head's way until there is one."""
    reader = reader or ResponseReader()
    body = b""
    for piece in (stream[:cut], stream[cut:]):
        if not piece:
            continue
        if reader.head is None:
            reader.feed_head(piece)
            body += reader.take()
        else:
            body += reader.feed(piece)
    return body


COMPLETE = {
    "counted": counted(b"hello"),
    "empty": counted(b""),
    "chunked": chunked(b"he", b"l", b"lo"),
    "with chunk extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "with trailers": chunked(b"hello", end=b"0\r\nX-A: b\r\nX-C: d\r\n\r\n"),
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + counted(b"hello"),
    "after 103": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + counted(b"hello"),
    "without content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.0, kept alive": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
    b"Content-Length: 5\r\n\r\nhello",
}


def body_of(kind: str) -> bytes:
    return b"" if kind in {"empty", "without content"} else b"hello"


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_response_cut_in_two_at_any_byte_is_read_the_same(kind: str) -> None:
    stream = COMPLETE[kind]
    for cut in range(len(stream)):
        reader = ResponseReader()
        assert read(stream, cut, reader) == body_of(kind)
        assert reader.complete
        assert reader.keep_alive
        assert reader.head is not None
        assert reader.head.status in {200, 204}


@pytest.mark.parametrize("kind", COMPLETE)
def test_a_response_byte_by_byte_is_read_the_same(kind: str) -> None:
    reader = ResponseReader()
    body = b"".join(read(bytes([byte]), 1, reader) for byte in COMPLETE[kind])
    assert body == body_of(kind)
    assert reader.keep_alive


def test_several_responses_follow_each_other_on_one_reader() -> None:
    reader = ResponseReader()
    for stream in COMPLETE.values():
        reader.begin()
        read(stream, len(stream) // 2, reader)
        assert reader.keep_alive


def test_names_come_in_lower_case_and_values_as_they_are() -> None:
    reader = ResponseReader()
    read(counted(b"", b"X-Name: Some Value\r\n"), 5, reader)
    assert reader.head is not None
    assert reader.head.get(b"x-name") == b"Some Value"
    assert reader.head.get(b"x-other") == b""


def test_the_headers_of_a_1xx_are_not_those_of_the_response() -> None:
    reader = ResponseReader()
    read(COMPLETE["after 103"], 10, reader)
    assert reader.head is not None
    assert reader.head.get(b"link") == b""


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"]
)
def test_a_body_without_framing_ends_with_the_file_and_so_does_its_connection(head: bytes) -> None:
    stream = head + b"hello"
    for cut in range(len(stream)):
        reader = ResponseReader()
        assert read(stream, cut, reader) == b"hello"
        before = reader.complete
        reader.end_of_file()
        assert (before, reader.complete) == (False, True)
        assert not reader.keep_alive


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        counted(b"hello")[:-1],
        chunked(b"hello", end=b""),
        chunked(b"hello", end=b"0\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_file_that_ends_before_the_framing_says_so_is_a_cut(stream: bytes) -> None:
    reader = ResponseReader()
    read(stream, 3, reader)
    with pytest.raises(UpstreamFault, match="cut"):
        reader.end_of_file()


@pytest.mark.parametrize(
    "stream",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_not_http_or_smuggles_is_a_fault_of_the_protocol(stream: bytes) -> None:
    with pytest.raises(UpstreamFault, match="protocol"):
        read(stream, 0)


def test_a_head_is_bounded_in_bytes() -> None:
    reader = ResponseReader()
    reader.feed_head(b"HTTP/1.1 200 OK\r\nX: ")
    with pytest.raises(UpstreamFault, match="too_large"):
        list(map(reader.feed_head, [b"x" * 1000] * (HEAD_LIMIT // 1000 + 1)))


def test_a_head_is_bounded_in_lines() -> None:
    with pytest.raises(UpstreamFault, match="too_large"):
        read(counted(b"", b"A: b\r\n" * HEADERS_LIMIT), 0)


@pytest.mark.parametrize("endless", [b"0\r\nX: " + b"x" * 500, b"5;x=" + b"x" * 500])
def test_trailers_and_chunk_extensions_are_bounded(endless: bytes) -> None:
    reader = ResponseReader()
    read(chunked(b"hello", end=endless), 60, reader)
    with pytest.raises(UpstreamFault, match="too_large"):
        list(map(reader.feed, [b"x" * 1000] * (HEAD_LIMIT // 1000 + 1)))


def test_framing_between_pieces_of_body_may_add_up_for_ever() -> None:
    reader = ResponseReader()
    read(chunked(b"x", end=b""), 0, reader)
    for _ in range(HEAD_LIMIT // 2):
        assert reader.feed(b"1\r\n") == b""
        assert reader.feed(b"x\r\n") == b"x"


@pytest.mark.parametrize("surplus", [counted(b"again"), b"garbage", b"HTTP/1.1 "])
def test_bytes_behind_a_complete_response_cost_the_connection_and_not_the_response(
    surplus: bytes,
) -> None:
    reader = ResponseReader()
    assert read(counted(b"hello") + surplus, 50, reader) == b"hello"
    assert reader.complete
    assert not reader.keep_alive


def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    reader = ResponseReader()
    read(counted(b"hello", b"Connection: close\r\n"), 9, reader)
    assert reader.complete
    assert not reader.keep_alive


def test_an_answer_to_head_is_complete_with_its_head() -> None:
    reader = ResponseReader()
    reader.begin(bodyless=True)
    read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 9, reader)
    assert reader.complete
    assert not reader.keep_alive
