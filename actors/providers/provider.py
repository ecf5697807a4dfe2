"""Calling a provider: our own request, a connection of its actor's or a new one, the answer's head.

Promises:

* An actor that is down or restarting costs a request a connection of its own making, never the
  request; one that is paused or slow costs it nothing.
* The provider sees our own headers only: nothing of the client's reaches it but the body.
* What fails is an `UpstreamFault`, whatever it was below.
"""

from __future__ import annotations

import functools
import math
import time
from contextlib import suppress
from importlib import metadata
from typing import Final

import httpx2
import msgspec
import trio

from sluice.actors.failures import UpstreamFault
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import ProviderFormat
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.settings import ProviderSettings, Timeouts
from sluice.actors.upstream import (
    Hold,
    Http1Transport,
    Origin,
    ResponseHead,
    UpstreamConnection,
    client_context,
    origin_of,
    request_head,
)
from sluice.actors.upstream.fields import media_type, retry_after
from sluice.engine import ActorStopped, MailboxFull, Ref

from .provider_actor import Provider, ProviderStatistics, Settle, Shelf

__all__ = ["Call", "ClientStatistics", "Provider", "ProviderClient", "ProviderStatistics", "Shelf"]

_FORMATS: Final[dict[str, ProviderFormat]] = {
    each.name: each for each in (OpenAIProvider(), AnthropicProvider(), CohereProvider())
}

_ROUTES: Final = {
    "openai": ("", "/chat/completions"),
    "anthropic": ("/v1", "/messages"),
    "cohere": ("/v2", "/chat"),
}
"""Where completions are, below ``base_url``: the version, which may stand there already, and the
rest. OpenAI's SDK takes an address with ``/v1`` in it; the others' take one without."""

ANTHROPIC_VERSION: Final = "2023-06-01"
"""Of the API: the only one there is, and required."""

ERROR_BODY_LIMIT: Final = 64 * 1024
"""Bytes read of an answer that is an error."""


class Call:
    """A provider's answer, its head read. Its connection belongs to the caller until `done`."""

    __slots__ = ("connection", "head", "over")

    def __init__(self, head: ResponseHead, connection: UpstreamConnection) -> None:
        self.head = head
        self.connection = connection
        self.over = False
        """`ProviderClient.done` was called."""

    def __repr__(self) -> str:
        return f"<Call {self.status} {self.connection!r}>"

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    @property
    def content_type(self) -> str:
        """The media type, without parameters, in lower case; empty if there is none."""
        return media_type(self.head.get(b"content-type"))

    @property
    def retry_after(self) -> float | None:
        """Seconds, if the provider said so."""
        value = self.head.get(b"retry-after")
        return retry_after(value, time.time()) if value else None

    async def read_error_body(self, patience: float = math.inf) -> bytes:
        """The body, as far as it came in ``patience`` seconds; `ERROR_BODY_LIMIT` bytes at most.

        Raises nothing of the provider's.
        """
        parts: list[bytes] = []
        room = ERROR_BODY_LIMIT
        # An error that is cut short is an error still.
        with trio.move_on_after(patience), suppress(UpstreamFault):
            while room > 0 and not self.connection.complete:
                parts.append(await self.connection.receive())
                room -= len(parts[-1])
        return b"".join(parts)[:ERROR_BODY_LIMIT]


class ClientStatistics(msgspec.Struct, frozen=True):
    """A snapshot of a `ProviderClient`."""

    open_calls: int
    calls: int
    dials: int


class ProviderClient:
    """Calls one provider. Built once a provider, outlives every incarnation of its actor.

    Args:
        settings: where it is, and how we identify ourselves to it.
        ref: its actor.
        shelf: the actor's idle connections.

    Raises:
        ValueError: the URL or the key cannot be sent.
    """

    def __init__(self, settings: ProviderSettings, ref: Ref, shelf: Shelf) -> None:
        self.name = settings.name
        self.format: ProviderFormat = _FORMATS[settings.format]
        self._ref = ref
        self._secret = settings.api_key.value.encode() if settings.api_key else b""
        self._shelf = shelf
        self._transport = Http1Transport(
            _Pool(shelf), context=lambda: client_context(settings.ca_file)
        )
        url = completions_url(settings.base_url, settings.format)
        self._origin = origin_of(url)
        self._streamed = request_head("POST", url, _headers(settings, "text/event-stream"))
        self._whole = request_head("POST", url, _headers(settings, "application/json"))
        self._open = self._calls = 0

    def __repr__(self) -> str:
        return f"<ProviderClient {self.name} {self._open} open>"

    async def call(
        self, body: bytes, *, streamed: bool, timeouts: Timeouts, hold: Hold | None = None
    ) -> Call:
        """Send ``body``, a chat completion request in JSON; returns when the head is there.

        Of ``timeouts`` it keeps ``connect``; the others are the caller's. Give the result to
        `done` on every path. Raises `UpstreamFault`; when ended by what ``hold`` was told, that
        or `trio.ClosedResourceError`.
        """
        head = self._streamed if streamed else self._whole
        data = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        answer = await self._transport.exchange(self._origin, data, timeouts.connect, hold=hold)
        self._calls += 1
        call = Call(answer[1], answer[0])
        if call.head.get(b"content-encoding") not in {b"", b"identity"}:
            call.connection.close()
            raise UpstreamFault("protocol", "a content coding that was not asked for")
        self._open += 1
        return call

    def done(self, call: Call, *, well: bool = False) -> None:
        """Give the call's connection back if it can be used again, else close it, now. Idempotent.

        ``well``: the answer is over by its own words; if the end of its framing has not come yet,
        it is waited for elsewhere, so that the connection is not lost for a few bytes.
        """
        if call.over:
            return
        call.over = True
        self._open -= 1
        connection = call.connection
        if not connection.complete and not connection.closed:
            drain(connection)
        if connection.reusable:
            self._shelf.put(connection, trio.current_time())
        elif well and not (connection.complete or connection.closed):
            self._settle(connection)
        else:
            connection.close()

    def without_secrets(self, body: bytes) -> bytes:
        """``body``, or nothing if the provider repeats our key in it."""
        return b"" if self._secret and self._secret in body else body

    def _settle(self, connection: UpstreamConnection) -> None:
        try:
            self._ref.tell_nowait(Settle(connection))
        except (ActorStopped, MailboxFull):
            connection.close()

    def statistics(self) -> ClientStatistics:
        """A snapshot."""
        return ClientStatistics(self._open, self._calls, self._transport.dials)


class _Pool:
    """The shelf, as the transport's pool. A provider has one origin only."""

    __slots__ = ("_shelf",)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def checkout(self, origin: Origin) -> UpstreamConnection | None:  # noqa: ARG002 -- a Pool
        """An idle connection, if there is one."""
        return self._shelf.take(trio.current_time())

    def checkin(self, origin: Origin, connection: UpstreamConnection) -> None:  # noqa: ARG002 -- likewise
        """Take back one that may be used again."""
        self._shelf.put(connection, trio.current_time())


def drain(connection: UpstreamConnection) -> None:
    """Read what has come already: mostly the end of the framing, behind the end of the answer."""
    try:
        while not connection.complete and not connection.receive_nowait():
            pass
    except (BlockingIOError, UpstreamFault):
        return


def completions_url(base_url: str, provider_format: str) -> httpx2.URL:
    """The route of chat completions below ``base_url``; a query there stays."""
    try:
        url = httpx2.URL(base_url)
        origin_of(url)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise ValueError(f"{base_url!r} is no URL that can be called: {error}") from error
    version, rest = _ROUTES[provider_format]
    path = url.path.rstrip("/").removesuffix(version)
    return url.copy_with(path=path + version + rest)


def _headers(settings: ProviderSettings, accept: str) -> httpx2.Headers:
    """All that the provider gets to see of us; the transport adds what HTTP needs."""
    headers = {
        "Host": httpx2.URL(settings.base_url).netloc.decode("ascii"),
        "Content-Type": "application/json",
        "Accept": accept,
        "User-Agent": f"sluice/{_version()}",
    }
    if settings.format == "anthropic":
        headers["anthropic-version"] = ANTHROPIC_VERSION
    if settings.api_key is not None:
        key = _key(settings.api_key.value)
        if settings.format == "anthropic":
            headers["x-api-key"] = key
        else:
            headers["Authorization"] = f"Bearer {key}"
    return httpx2.Headers(headers)


def _key(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("an API key holds characters that no header can carry")
    return value


@functools.cache
def _version() -> str:
    """Read once: it takes longer than all else that a provider's start does."""
    try:
        return metadata.version("sluice-sse")
    except metadata.PackageNotFoundError:
        return "0"
