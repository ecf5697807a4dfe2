"""The head of a response: from a status and headers to bytes and a framing. No IO."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec

from sluice.http.asgi import Headers

from .head import Request
from .refusals import COME_BACK, Refused

_OURS: Final = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}
_BODILESS: Final = frozenset((204, 304))


class ResponseHead(msgspec.Struct, frozen=True):
    """What leaves before the body, and how the body is framed."""

    data: bytes
    chunked: bool
    length: int | None
    """Bytes the body has; None: it ends with its last chunk, or with the connection."""
    bodiless: bool
    """Whether no byte of a body may be sent: HEAD, 204, 304 (RFC 9112, 6.3)."""
    keep_alive: bool


class _DateLine:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def now(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


_date: Final = _DateLine()


def response_head(
    request: Request, status: int, headers: Headers, *, keep_alive: bool, whole: int | None
) -> ResponseHead:
    """The head for ``status`` and ``headers``, with the fields that are the edge's own.

    ``whole`` is the body's length where all of it is known. Raises `ValueError` for what would
    break the framing: a CR, LF or NUL in a header, a malformed ``content-length``, a status
    that is not final.
    """
    fields = _Fields(headers)
    bodiless = status in _BODILESS or request.method == "HEAD"
    length = fields.length
    if length is None and not bodiless:
        length = whole
    modern = request.version == "1.1"
    chunked = modern and length is None and not bodiless
    framed = chunked or bodiless or length is not None
    # Without framing, the end of the connection is the end of the body.
    keep_alive = keep_alive and framed and not fields.closes
    lines = [_status_line(status), *fields.lines]
    if length is not None and status != 204:
        lines.append(b"content-length: %d\r\n" % length)
    elif chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    elif not modern:
        lines.append(b"connection: keep-alive\r\n")
    return ResponseHead(_joined(lines), chunked, length, bodiless, keep_alive)


class _Fields:
    """The application's headers as lines, without those that are the edge's."""

    __slots__ = ("closes", "length", "lines")

    def __init__(self, headers: Headers) -> None:
        self.lines: list[bytes] = []
        self.length: int | None = None
        self.closes = False
        dated = False
        for given, value in headers:
            name = given.lower()
            if name in _OURS:
                self._decide(name, value)
            else:
                dated = dated or name == b"date"
                self.lines.append(b"%b: %b\r\n" % (name, value))
        if not dated:
            self.lines.append(_date.now())

    def _decide(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            if not value.isdigit() or self.length not in {None, int(value)}:
                raise ValueError("the response's content-length is malformed")
            self.length = int(value)
        elif name == b"connection":
            self.closes = b"close" in value.lower()


def refusal(refused: Refused, path: str = "") -> bytes:
    """The whole response to a request that goes no further; the connection closes with it.

    ``path``: what was asked for, if that is known.
    """
    again = b"retry-after: %d\r\n" % COME_BACK if refused.status == 503 else b""
    return plain_response(refused.status, refused.body(path), again)


def plain_response(status: int, body: bytes, fields: bytes = b"") -> bytes:
    """A whole response of JSON; the connection closes with it. ``fields``: more of its head."""
    return (
        b"%bcontent-type: application/json\r\n%b%bcontent-length: %d\r\n"
        b"connection: close\r\n\r\n%b"
        % (_status_line(status), fields, _date.now(), len(body), body)
    )


def _status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    if line is None:
        line = b"HTTP/1.1 %d \r\n" % status
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is not a final status")
    return line


def _joined(lines: list[bytes]) -> bytes:
    """The head of ``lines``. A line may have no CR, LF or NUL but its own end."""
    head = b"".join(lines)
    count = len(lines)
    if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
        raise ValueError("a header of the response has a line break or a NUL in it")
    return head + b"\r\n"
