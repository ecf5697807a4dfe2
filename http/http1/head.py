"""The head of a request: from bytes to a `Request`, or to a `Refused`. No IO.

llhttp (``httptools``) checks and splits the head; it is given no byte beyond it, because it can
neither pause nor say where a message ended. So pipelining, upgrades and the body's framing are
decided here and in ``body.py``, and an ``Upgrade`` is simply not taken up (RFC 9110, 7.8).
What llhttp lets through and a server must not (RFC 9112) is refused here: a missing or doubled
Host, RTSP, fragments, ``Transfer-Encoding`` in HTTP/1.0.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import httptools
import msgspec

from sluice.http.asgi import Headers
from sluice.http.edge_settings import EdgeSettings

from .refusals import (
    Refused,
    bad_request,
    body_too_large,
    expectation_failed,
    head_too_large,
    not_implemented,
    url_too_long,
    wrong_version,
)

_END: Final = b"\r\n\r\n"
_DECIDING: Final = frozenset(
    (b"host", b"connection", b"content-length", b"transfer-encoding", b"expect")
)
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%\[\]:-]*")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]+)([^#]*)", re.IGNORECASE)
_UNKNOWN_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \r\n]+ HTTP/1\.[01]\r\n")


class Request(msgspec.Struct, frozen=True):
    """A request's head. Names of headers are lower-case, values without blanks around them."""

    method: str
    raw_path: bytes
    path: str
    query: bytes
    version: str
    """``1.1`` or ``1.0``."""
    headers: Headers
    length: int | None
    """Bytes of the body; None: chunked."""
    keep_alive: bool
    """Whether the client lets the connection live on."""
    expects_continue: bool
    """Whether the client waits for ``100 Continue`` before it sends the body."""


class HeadReader:
    """Takes the bytes of one head as they come; used once."""

    __slots__ = ("_begun", "_complete", "_deciding", "_head", "_headers", "_parser", "_settings")

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._head = b""
        self._headers: Headers = []
        self._deciding: Headers = []
        self._begun = False
        self._complete = False
        self._parser: httptools.HttpRequestParser | None = None

    def feed(self, data: bytes) -> tuple[Request, bytes] | None:
        """The request and what follows its head, or None while the head goes on.

        Raises `Refused`, as early as it can be told.
        """
        if not self._begun:
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before a request
            if not data:
                return None
            self._begun = True
        held = self._head
        if held:
            data = held + data
            end = data.find(_END, max(0, len(held) - 3))
        else:
            end = data.find(_END)
        head = data if end < 0 else data[: end + 4]
        self._check_size(head)
        self._parse(head[len(held) :] if held else head, head)
        if end < 0:
            self._head = head
            return None
        self._parser = None  # it holds our methods: a cycle
        return self._request(head), data[end + 4 :]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by llhttp."""
        field = (name.lower(), value.strip(b" \t"))
        self._headers.append(field)
        if field[0] in _DECIDING:
            self._deciding.append(field)

    def on_headers_complete(self) -> None:
        """Called by llhttp."""
        self._complete = True

    def _parse(self, data: bytes, head: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # not taken up: what follows is read as if it had not been offered
        except httptools.HttpParserInvalidMethodError:
            if _UNKNOWN_METHOD.match(head):
                raise not_implemented("The request's method is not known here.") from None
            raise bad_request("The request is not HTTP.") from None
        except httptools.HttpParserError as error:
            raise bad_request(f"The request's head is malformed: {error}.") from None

    def _check_size(self, head: bytes) -> None:
        settings = self._settings
        if len(head) > settings.url_limit:
            line = head.find(b"\r\n")
            if (line if line >= 0 else len(head)) > settings.url_limit:
                raise url_too_long(settings.url_limit)
        if len(head) > settings.head_limit:
            raise head_too_large(f"The request's head is over {settings.head_limit} bytes.")

    def _request(self, head: bytes) -> Request:
        if not self._complete:
            raise bad_request("The request's head is malformed.")
        if len(self._headers) > self._settings.header_count:
            raise head_too_large(
                f"The request has more than {self._settings.header_count} header fields."
            )
        method, target, version = _request_line(head)
        fields = _deciding_fields(self._deciding)
        headers, path = self._resolve(method, target, version, fields)
        raw_path, _, query = path.partition(b"?")
        decoded = _decoded(raw_path)
        try:
            length = _body_length(version, fields, self._settings.body_limit)
            expects_continue = _expects_continue(version, fields.get(b"expect"))
        except Refused as refused:
            refused.about = {"headers": headers, "path": decoded}
            raise
        return Request(
            method,
            raw_path,
            decoded,
            query,
            version,
            headers,
            length,
            _keeps_alive(version, fields.get(b"connection")),
            expects_continue and length != 0,
        )

    def _resolve(
        self, method: str, target: bytes, version: str, fields: dict[bytes, bytes]
    ) -> tuple[Headers, bytes]:
        """Headers and path for ``target``, whose authority wins over Host (RFC 9112, 3.2.2)."""
        host = fields.get(b"host")
        if host is None and version == "1.1":
            raise bad_request("The request has no Host.")
        if host is not None and not _HOST.fullmatch(host):
            raise bad_request("The request's Host is malformed.")
        if b"#" in target:
            raise bad_request("The request's URL has a fragment.")
        if target.startswith(b"/") or (target == b"*" and method == "OPTIONS"):
            return self._headers, target
        if method == "CONNECT":
            raise not_implemented("This is no proxy for CONNECT.")
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not _HOST.fullmatch(absolute[1]):
            raise bad_request("The request's URL is malformed.")
        others = [field for field in self._headers if field[0] != b"host"]
        path = absolute[2]
        return [(b"host", absolute[1]), *others], path if path.startswith(b"/") else b"/" + path


def _request_line(head: bytes) -> tuple[str, bytes, str]:
    """Method, target and version. llhttp has seen the line, but also takes RTSP and ICE."""
    parts = head[: head.index(b"\r\n")].split(b" ")
    if len(parts) != 3:
        raise bad_request("The request's first line is malformed.")
    if parts[2] == b"HTTP/1.1":
        version = "1.1"
    elif parts[2] == b"HTTP/1.0":
        version = "1.0"
    elif parts[2].startswith(b"HTTP/"):
        raise wrong_version()
    else:
        raise bad_request("The request is not HTTP.")
    return parts[0].decode("ascii"), parts[1], version


def _deciding_fields(fields: Headers) -> dict[bytes, bytes]:
    """The fields that decide how a request is read, each once; lists are joined."""
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        if name not in found:
            found[name] = value
        elif name in {b"connection", b"expect"}:
            found[name] += b"," + value
        else:
            raise bad_request(f"The request has more than one {name.decode('ascii').title()}.")
    return found


def _body_length(version: str, fields: dict[bytes, bytes], limit: int) -> int | None:
    """RFC 9112, 6.1 and 6.3; what could be read in two ways is refused."""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise bad_request("The request has both Transfer-Encoding and Content-Length.")
        if version == "1.0":
            raise bad_request("HTTP/1.0 has no Transfer-Encoding.")
        if coding.lower() != b"chunked":
            raise not_implemented("The only transfer coding known here is 'chunked'.")
        return None
    if length is None:
        return 0
    if not length.isdigit():
        raise bad_request("The request's Content-Length is malformed.")
    if int(length) > limit:
        raise body_too_large(limit)
    return int(length)


def _keeps_alive(version: str, connection: bytes | None) -> bool:
    if connection is None:
        return version == "1.1"
    options = [option.strip() for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return version == "1.1" or b"keep-alive" in options


def _expects_continue(version: str, expect: bytes | None) -> bool:
    if expect is None or version == "1.0":
        return False
    if expect.lower() != b"100-continue":
        raise expectation_failed()
    return True


def _decoded(raw_path: bytes) -> str:
    try:
        path = raw_path.decode("ascii")
    except UnicodeDecodeError:
        raise bad_request("The request's URL is malformed.") from None
    return unquote(path) if "%" in path else path
