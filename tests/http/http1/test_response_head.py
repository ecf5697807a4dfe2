from __future__ import annotations

import re

import pytest

from sluice.http.edge_settings import EdgeSettings
from sluice.http.http1.head import HeadReader, Request
from sluice.http.http1.refusals import bad_request
from sluice.http.http1.response_head import ResponseHead, refusal, response_head


def request(first: bytes = b"GET / HTTP/1.1") -> Request:
    found = HeadReader(EdgeSettings()).feed(first + b"\r\nHost: a\r\n\r\n")
    assert found is not None
    return found[0]


def make(
    status: int = 200,
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    first: bytes = b"GET / HTTP/1.1",
    keep_alive: bool = True,
    whole: int | None = None,
) -> ResponseHead:
    return response_head(request(first), status, headers or [], keep_alive=keep_alive, whole=whole)


def lines(head: ResponseHead) -> list[bytes]:
    assert head.data.endswith(b"\r\n\r\n")
    return head.data[:-4].split(b"\r\n")


def test_the_head_is_the_status_then_the_applications_headers_then_ours() -> None:
    head = make(headers=[(b"X-A", b"1"), (b"x-b", b"2")])
    assert lines(head)[0] == b"HTTP/1.1 200 OK"
    assert lines(head)[1:3] == [b"x-a: 1", b"x-b: 2"]
    assert re.fullmatch(rb"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", lines(head)[3])
    assert lines(head)[4:] == [b"transfer-encoding: chunked"]


def test_a_date_of_the_applications_own_is_left_alone() -> None:
    dates = [line for line in lines(make(headers=[(b"date", b"today")])) if b"date" in line]
    assert dates == [b"date: today"]


def test_a_status_without_a_name_has_none() -> None:
    assert lines(make(599))[0] == b"HTTP/1.1 599 "


def test_a_length_is_declared_once_by_the_application_or_by_us() -> None:
    given, known = make(headers=[(b"content-length", b"5")]), make(whole=5)
    assert given.length == known.length == 5
    for head in (given, known):
        assert lines(head)[-1] == b"content-length: 5"
        assert not head.chunked


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (b"HEAD / HTTP/1.1", 200),
        (b"GET / HTTP/1.1", 204),
        (b"GET / HTTP/1.1", 304),
    ],
)
def test_what_has_no_body_has_no_coding_and_keeps_the_connection(first: bytes, status: int) -> None:
    head = make(status, first=first, whole=0)
    assert (head.bodiless, head.chunked, head.keep_alive) == (True, False, True)
    assert not any(line.startswith((b"content-length", b"transfer")) for line in lines(head))


def test_a_204_has_no_length_even_if_the_application_says_so() -> None:
    assert b"content-length: 0" not in lines(make(204, [(b"content-length", b"0")]))


def test_http_1_0_keeps_the_connection_only_with_a_length() -> None:
    first = b"GET / HTTP/1.0"
    sized, unsized = make(first=first, whole=3), make(first=first)
    assert sized.keep_alive
    assert lines(sized)[-1] == b"connection: keep-alive"
    assert not unsized.keep_alive
    assert not unsized.chunked
    assert lines(unsized)[-1] == b"connection: close"


def test_either_side_can_close_the_connection() -> None:
    for head in (make(keep_alive=False), make(headers=[(b"connection", b"Close")])):
        assert not head.keep_alive
        assert lines(head)[-1] == b"connection: close"


def test_framing_is_not_the_applications() -> None:
    head = make(headers=[(b"transfer-encoding", b"gzip"), (b"connection", b"keep-alive")])
    assert [line for line in lines(head) if line.startswith((b"transfer", b"conn"))] == [
        b"transfer-encoding: chunked"
    ]


@pytest.mark.parametrize("headers", [
    [(b"x", b"a\r\nset-cookie: b")],
    [(b"x", b"a\nb")],
    [(b"x", b"a\rb")],
    [(b"x", b"a\0b")],
    [(b"x\r\ny", b"a")],
    [(b"x\0", b"a")],
    [(b"content-length", b"five")],
    [(b"content-length", b"-5")],
    [(b"content-length", b"5"), (b"content-length", b"6")],
])  # fmt: skip
def test_a_header_that_would_break_the_framing_is_an_error(
    headers: list[tuple[bytes, bytes]],
) -> None:
    with pytest.raises(ValueError, match="response"):
        make(headers=headers)


@pytest.mark.parametrize("status", [99, 101, 199, 1000])
def test_a_status_that_is_not_final_is_an_error(status: int) -> None:
    with pytest.raises(ValueError, match="final"):
        make(status)


def test_a_refusal_is_small_json_and_the_last_word() -> None:
    data = refusal(bad_request("No."))
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
    assert b"connection: close" in head
    assert b"content-length: %d" % len(body) in head
    assert body == (
        b'{"error":{"message":"No.","type":"invalid_request_error","param":null,'
        b'"code":"bad_request"}}'
    )
