"""One connection's responses, read by llhttp: pure, bytes in, head and body bytes out.

What httptools leaves to us: the head's limits, 1xx (which it reports as messages), a body that
only the end of file ends (which it never completes), and bytes behind a response's end.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

from sluice.actors.failures import UpstreamFault

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a response's head, and of framing between two pieces of body (h11 and Node: 16 kB)."""

HEADERS_LIMIT: Final = 256
"""Header lines of a response, trailers included (Apache: 100, Go: by size only)."""


class ResponseHead(NamedTuple):
    """The start of a response: names in lower case, values as they came."""

    status: int
    headers: list[tuple[bytes, bytes]]

    def get(self, name: bytes) -> bytes:
        """The first value of ``name`` (lower case), empty if there is none."""
        return next((value for key, value in self.headers if key == name), b"")


class ResponseReader:
    """Reads the responses of one connection, one at a time; `begin` starts the next.

    `feed` and `end_of_file` raise `UpstreamFault` ("protocol", "too_large", "cut").
    """

    __slots__ = (
        "_bodyless",
        "_ends_with_file",
        "_headers",
        "_keep_alive",
        "_parser",
        "_parts",
        "_unframed",
        "complete",
        "head",
        "surplus",
        "used",
    )

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """Body bytes that nobody has taken. One list for good: llhttp appends to it."""
        self._parser = httptools.HttpResponseParser(_Callbacks(self, self._parts))
        self.begin()

    def begin(self, *, bodyless: bool = False) -> None:
        """Expect another response; ``bodyless``: to a HEAD, of which llhttp knows nothing."""
        self._bodyless = bodyless
        self._headers: list[tuple[bytes, bytes]] = []
        self._keep_alive = False
        self._ends_with_file = False
        self._unframed = 0
        """Bytes fed since the last body bytes."""
        self._parts.clear()
        self.head: ResponseHead | None = None
        self.complete = False
        """The body has ended, by its own framing or by an end of file that may end it."""
        self.surplus = False
        """Bytes came that belong to no response of ours."""
        self.used = False
        """A byte of this response has come."""

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on this connection."""
        return self.complete and not self.surplus and self._keep_alive

    def feed(self, data: bytes) -> bytes:
        """The body bytes that ``data`` completed."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(error)
        parts = self._parts
        if len(parts) == 1:
            self._unframed = 0
            body = parts[0]
            parts.clear()
            return body
        return self._take(len(data))

    def feed_head(self, data: bytes) -> None:
        """Like `feed`, but body bytes that come with the head are kept for `take`."""
        self.used = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(error)
        if self.head is None:
            self._count_unframed(len(data))

    def take(self) -> bytes:
        """The body bytes that came with the head."""
        return self._take(0)

    def end_of_file(self) -> None:
        """The peer sends no more: well if nothing but this tells the body's end, else a cut."""
        if self.complete:
            self.surplus = True
        elif self._ends_with_file:
            self.complete = self.surplus = True
        else:
            raise UpstreamFault("cut", "the response ended early")

    def close(self) -> None:
        """Break the circle of parser and callbacks."""
        del self._parser

    def _take(self, fed: int) -> bytes:
        if not self._parts:
            self._count_unframed(fed)
            return b""
        self._unframed = 0
        body = b"".join(self._parts)
        self._parts.clear()
        return body

    def _count_unframed(self, fed: int) -> None:
        """Bound what is neither body nor progress: a head, trailers, an endless chunk line."""
        self._unframed += fed
        if self._unframed > HEAD_LIMIT:
            raise UpstreamFault("too_large", f"more than {HEAD_LIMIT} bytes of head")

    def _refuse(self, error: Exception) -> None:
        """Garbage behind a complete response costs the connection only; else it is a fault."""
        if self.complete:
            self.surplus = True
            return
        cause = error.__context__
        if isinstance(cause, UpstreamFault):
            raise cause
        raise UpstreamFault("protocol", str(error)) from error

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header line; those after the head are trailers, which nobody reads."""
        if len(self._headers) >= HEADERS_LIMIT:
            raise UpstreamFault("too_large", f"more than {HEADERS_LIMIT} header lines")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Set the head, unless it announces another (RFC 9110, 15.2)."""
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if status < 200:
            return
        self._ends_with_file = not _is_framed(status, headers)
        self._keep_alive = self._parser.should_keep_alive()
        self.head = ResponseHead(status, headers)
        if self._bodyless:
            self.complete = self.surplus = True

    def on_message_complete(self) -> None:
        """End the body; a 1xx has none."""
        if self.head is not None:
            self.complete = True

    def on_message_begin(self) -> None:
        """Notice a response that nobody asked for."""
        if self.complete:
            self.surplus = True
            raise UpstreamFault("protocol", "a response without a request")


def _is_framed(status: int, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the body has an end of its own (RFC 9112, 6.3). Unreadable codings are refused."""
    framed = status in {204, 304}
    for name, value in headers:
        if name == b"content-length":
            framed = True
        elif name == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                raise UpstreamFault("protocol", "a transfer coding other than chunked")
            framed = True
    return framed


class _Callbacks:
    """What llhttp calls: ``on_body`` is the list's own `append`, so that no Python runs for it."""

    __slots__ = ("on_body", "on_header", "on_headers_complete", "on_message_begin",
                 "on_message_complete")  # fmt: skip

    def __init__(self, reader: ResponseReader, parts: list[bytes]) -> None:
        self.on_body = parts.append
        self.on_header = reader.on_header
        self.on_headers_complete = reader.on_headers_complete
        self.on_message_begin = reader.on_message_begin
        self.on_message_complete = reader.on_message_complete
