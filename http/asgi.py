"""The shapes of ASGI, and what more than one of our callables does with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them."""

JSON = (b"content-type", b"application/json")


def find(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """The first value of the header ``wanted``, None if there is none."""
    return next((value for name, value in headers if name == wanted), None)


async def answer(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send a whole answer. Its length is given, except where none may be (204)."""
    if status != 204:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def without_body(send: Send) -> Send:
    """``send`` for ``HEAD``: the head as it would be for ``GET``, and nothing after it."""

    async def head_only(event: Event) -> None:
        if event["type"] == "http.response.body":
            event = {**event, "body": b""}
        await send(event)

    return head_only


def with_headers(send: Send, more: Headers) -> Send:
    """``send`` that adds ``more`` to the head."""

    async def add(event: Event) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event["headers"], *more]}
        await send(event)

    return add
