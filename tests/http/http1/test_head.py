from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.http.edge_settings import EdgeSettings
from sluice.http.http1.head import HeadReader, Request
from sluice.http.http1.refusals import Refused

SMALL = EdgeSettings(head_limit=1000, url_limit=300, header_count=10, body_limit=100)


def read(data: bytes) -> tuple[Request, bytes]:
    found = HeadReader(SMALL).feed(data)
    assert found is not None
    return found


def head(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


def refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read(data)
    return caught.value


HOST = b"Host: sluice"


# -- what is read -------------------------------------------------------------------------------


def test_a_head_is_read_and_what_follows_it_is_left() -> None:
    request, rest = read(head(HOST, b"X-A: 1", first=b"DELETE /a?b=c HTTP/1.1") + b"more")
    assert (request.method, request.raw_path, request.query) == ("DELETE", b"/a", b"b=c")
    assert request.headers == [(b"host", b"sluice"), (b"x-a", b"1")]
    assert (request.version, request.length, request.keep_alive) == ("1.1", 0, True)
    assert rest == b"more"


def test_names_are_lower_case_and_values_without_blanks_around_them() -> None:
    request, _ = read(head(b"HOST:\t sluice \t", b"X-Empty:", b"X-In: a b"))
    assert request.headers == [(b"host", b"sluice"), (b"x-empty", b""), (b"x-in", b"a b")]


def test_bytes_that_are_not_ascii_pass_in_values() -> None:
    assert read(head(HOST, b"X: \xfc\xff"))[0].headers[1] == (b"x", b"\xfc\xff")


def test_the_path_is_decoded_and_its_raw_form_kept() -> None:
    request, _ = read(head(HOST, first=b"GET /%C3%BC/%2F?%41 HTTP/1.1"))
    assert (request.path, request.raw_path, request.query) == ("/ü//", b"/%C3%BC/%2F", b"%41")


@given(st.integers(1, 200))
def test_a_head_is_the_same_wherever_it_was_split(cut: int) -> None:
    data = (
        head(HOST, b"X-Thing: value", b"Content-Length: 5", first=b"POST /path HTTP/1.1") + b"hello"
    )
    reader = HeadReader(SMALL)
    found = reader.feed(data[:cut]) if data[:cut] else None
    found = reader.feed(data[cut:]) if found is None else (found[0], found[1] + data[cut:])
    assert found == read(data)


def test_the_authority_of_an_absolute_target_wins_over_host() -> None:
    request, _ = read(head(HOST, first=b"GET HTTP://other:80/a?b HTTP/1.1"))
    assert (request.path, request.query) == ("/a", b"b")
    assert request.headers == [(b"host", b"other:80")]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://other", "/", b""),
        (b"http://other?a", "/", b"a"),
    ],
)
def test_an_absolute_target_without_a_path_asks_for_the_root(
    target: bytes, path: str, query: bytes
) -> None:
    request, _ = read(head(HOST, first=b"GET " + target + b" HTTP/1.1"))
    assert (request.path, request.query) == (path, query)


def test_options_may_ask_about_the_whole_server() -> None:
    assert read(head(HOST, first=b"OPTIONS * HTTP/1.1"))[0].path == "*"


def test_http_1_0_needs_no_host() -> None:
    assert read(head(first=b"GET / HTTP/1.0"))[0].version == "1.0"


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"Upgrade, Close", False),
        (b"1.1", b"keep-alive", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_a_connection_is_kept_as_rfc_9112_says(
    version: bytes, connection: bytes | None, keep: bool
) -> None:
    fields = [HOST] if connection is None else [HOST, b"Connection: " + connection]
    assert read(head(*fields, first=b"GET / HTTP/" + version))[0].keep_alive is keep


def test_an_upgrade_is_not_taken_up_and_what_follows_is_left() -> None:
    for offer in (b"websocket", b"h2c"):
        fields = (HOST, b"Upgrade: " + offer, b"Connection: Upgrade", b"Content-Length: 3")
        request, rest = read(head(*fields) + b"abcX")
        assert (request.length, rest) == (3, b"abcX")


def test_a_body_may_be_sized_or_chunked_or_absent() -> None:
    assert read(head(HOST, b"Content-Length: 100"))[0].length == 100
    assert read(head(HOST, b"Transfer-Encoding: Chunked"))[0].length is None
    assert read(head(HOST))[0].length == 0


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ((b"Expect: 100-Continue", b"Content-Length: 5"), True),
        ((b"Expect: 100-continue", b"Transfer-Encoding: chunked"), True),
        ((b"Expect: 100-continue",), False),
        ((b"Expect: 100-continue", b"Content-Length: 0"), False),
    ],
)
def test_a_client_waits_for_100_only_if_it_has_a_body(
    fields: tuple[bytes, ...], waits: bool
) -> None:
    assert read(head(HOST, *fields))[0].expects_continue is waits


def test_http_1_0_expects_nothing() -> None:
    fields = (b"Expect: 100-continue", b"Content-Length: 5")
    assert not read(head(*fields, first=b"POST / HTTP/1.0"))[0].expects_continue


def test_empty_lines_before_a_request_are_ignored() -> None:
    reader = HeadReader(SMALL)
    assert reader.feed(b"\r") is None
    assert reader.feed(b"\n\r\n") is None
    assert reader.feed(head(HOST)) == read(head(HOST))


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    head(),
    head(HOST, HOST),
    head(b"Host: a b"),
    head(b"Host: a/b"),
    head(b"Host: user@a"),
    head(b"Host: a,b\\"),
    head(HOST, first=b"GET http://user@other/ HTTP/1.1"),
    head(HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    head(HOST, b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    head(HOST, b"Content-Length: 5", b"Content-Length: 5"),
    head(HOST, b"Content-Length: 5, 5"),
    head(HOST, b"Content-Length: +5"),
    head(HOST, b"Content-Length: -5"),
    head(HOST, b"Content-Length: 0x5"),
    head(HOST, b"Content-Length:"),
    head(HOST, b"Content-Length: 99999999999999999999999"),
    head(HOST, b"Transfer-Encoding: chunked, chunked"),
    head(HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    head(HOST, b"Transfer-Encoding : chunked"),
    head(HOST, b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"),
    head(HOST, b"X: a", b" folded"),
    head(HOST, b"X: a\0b"),
    head(HOST, b"X: a\rb"),
    head(HOST, b"X : a"),
    head(HOST, b"X"),
    head(HOST, b": a"),
    head(HOST, b"X(: a"),
    head(HOST).replace(b"\r\n", b"\n") + b"\r\n\r\n",
    head(HOST, first=b"GET /#part HTTP/1.1"),
    head(HOST, first=b"GET  / HTTP/1.1"),
    head(HOST, first=b"GET / HTTP/1.1 "),
    head(HOST, first=b"GET /a b HTTP/1.1"),
    head(HOST, first=b"GET * HTTP/1.1"),
    head(HOST, first=b"GET a HTTP/1.1"),
    head(HOST, first=b"GET ftp://a/ HTTP/1.1"),
    head(HOST, first=b"GET /\xc3\xbc HTTP/1.1"),
    head(HOST, first=b"GET / RTSP/1.0"),
    head(HOST, first=b"GET /"),
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"{}",
])  # fmt: skip
def test_what_could_be_read_in_two_ways_or_not_at_all_is_a_400(data: bytes) -> None:
    assert refusal(data).status == 400


@pytest.mark.parametrize(
    "data",
    [
        head(HOST, first=b"BREW /pot HTTP/1.1"),
        head(HOST, first=b"get / HTTP/1.1"),
        head(HOST, first=b"CONNECT other:443 HTTP/1.1"),
    ],
)
def test_a_method_that_nothing_here_has_is_a_501(data: bytes) -> None:
    assert refusal(data).status == 501


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        head(HOST, first=b"GET / HTTP/0.9"),
        head(HOST, first=b"GET / HTTP/1.2"),
    ],
)
def test_another_version_of_http_is_refused(data: bytes) -> None:
    assert refusal(data).status in {400, 505}


def test_an_expectation_that_cannot_be_met_is_a_417() -> None:
    assert refusal(head(HOST, b"Expect: payment")).status == 417
    assert refusal(head(HOST, b"Expect: 100-continue", b"Expect: x")).status == 417


def test_a_declared_body_over_the_limit_is_a_413() -> None:
    assert refusal(head(HOST, b"Content-Length: 101")).status == 413


def test_a_url_over_the_limit_is_a_414_before_its_end_is_seen() -> None:
    assert refusal(b"GET /" + b"a" * 300).status == 414
    assert refusal(head(HOST, first=b"GET /" + b"a" * 300 + b" HTTP/1.1")).status == 414


def test_a_head_over_the_limit_is_a_431_before_its_end_is_seen() -> None:
    assert refusal(b"GET / HTTP/1.1\r\nX: " + b"a" * 1000).status == 431
    assert refusal(head(HOST, b"X: " + b"a" * 1000)).status == 431


def test_too_many_fields_are_a_431() -> None:
    assert len(read(head(HOST, *[b"X: a"] * 9))[0].headers) == 10
    assert refusal(head(HOST, *[b"X: a"] * 10)).status == 431


def test_a_limit_is_not_stretched_by_a_trickle() -> None:
    data = b"GET / HTTP/1.1\r\nX: " + b"a" * 1000
    assert outcome([bytes((byte,)) for byte in data], SMALL) == 431


# -- strangers ----------------------------------------------------------------------------------

fragments = st.sampled_from([
    b"GET ", b"POST ", b"/", b"*", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r",
    b"Host: a", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: upgrade",
    b"Upgrade: h2c", b"Expect: 100-continue", b":", b" ", b"\0", b"\xff", b"http://a/", b"?", b"%",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(fragments, st.binary(max_size=5)), max_size=30), st.integers(1, 40))
def test_any_bytes_are_read_or_refused_and_however_they_are_split(
    parts: list[bytes], step: int
) -> None:
    data = b"".join(parts)
    whole, split = outcome([data]), outcome([data[i : i + step] for i in range(0, len(data), step)])
    if isinstance(whole, Request) or isinstance(split, Request):
        assert whole == split
    else:
        assert (whole is None) == (split is None)


def outcome(
    pieces: list[bytes],
    limits: EdgeSettings = EdgeSettings(),  # noqa: B008 -- it is frozen
) -> Request | int | None:
    reader = HeadReader(limits)
    try:
        for piece in pieces:
            found = reader.feed(piece)
            if found is not None:
                return found[0]
    except Refused as refused:
        return refused.status
    return None
