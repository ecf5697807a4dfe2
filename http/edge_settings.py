"""What an operator decides about the edge, and the limits that hold against strangers.

Every limit is a named constant with the precedents it comes from.
"""

from __future__ import annotations

from typing import Literal

import msgspec

HEAD_LIMIT = 32 * 1024
"""Bytes of a request's head: nginx takes 4 x 8 KiB, Node 16 KiB, Apache 8 KiB a line."""

URL_LIMIT = 8 * 1024
"""Bytes of a request's first line: RFC 9112 3 asks for 8,000; nginx and Apache take 8 KiB."""

HEADER_COUNT = 100
"""Fields of a request's head: Apache's LimitRequestFields."""

BODY_LIMIT = 16 * 1024 * 1024
"""Bytes of a request's body: Quart and Hypercorn take 16 MiB, nginx 1 MiB."""

BODIES_LIMIT = 256 * 1024 * 1024
"""Bytes of bodies that are still coming, of all requests of one worker: sixteen of the largest."""

HEAD_TIMEOUT = 10.0
"""Seconds from the first byte of a head to its last: Node 60, Apache 20-40, nginx 60."""

BODY_TIMEOUT = 20.0
"""Seconds that may be spent waiting for a body, before what `BODY_RATE` adds; at no time is there
more left: Apache's 20, nginx' 60 between two reads."""

BODY_RATE = 500
"""Bytes of a body that buy it another second: Apache's MinRate, which catches a trickle."""

KEEPALIVE_TIMEOUT = 75.0
"""Seconds an idle connection is kept: nginx 75, Node 5, Envoy 3,600."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for TLS to be agreed: Go's net/http advises 10, Hypercorn takes 60."""

PIPELINE_LIMIT = 64 * 1024
"""Bytes read ahead while a request is answered: with that the client is no longer read."""

DRAIN_LIMIT = 64 * 1024
"""Bytes of a body read for nobody, so that the connection can be kept: Go takes 256 KiB."""

LINGER_TIME = 2.0
"""Seconds that a refused client has to read its answer: nginx's lingering_timeout is 5."""

FIRST_REQUEST = 1.0
"""Seconds that a new connection has for its first request while the server shuts down: it was
accepted before, and its request may be on its way."""

MAX_CONNECTIONS = 10_000
"""Open connections of one worker: Envoy advises a bound, nginx has 512 a worker."""

BACKLOG = 4096
"""Connections that wait to be accepted: Linux' own bound (somaxconn) since 5.4."""


class EdgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the edge treats its clients. Sizes in bytes, times in seconds."""

    http1: Literal["sluice", "hypercorn"] = "sluice"
    """Whose HTTP/1.1 speaks to clients: ours, or Hypercorn's own on h11.

    With Hypercorn's, ``max_connections`` holds too, and the application holds ``body_limit``. Not
    so ``url_limit``, ``header_count``, ``head_timeout``, ``body_timeout`` and ``client_write``
    (of small answers); and what is refused before the application sees it, is not reported.
    """
    head_limit: int = HEAD_LIMIT
    url_limit: int = URL_LIMIT
    header_count: int = HEADER_COUNT
    body_limit: int = BODY_LIMIT
    bodies_limit: int = BODIES_LIMIT
    """Twice ``body_limit`` at the least."""
    head_timeout: float = HEAD_TIMEOUT
    body_timeout: float = BODY_TIMEOUT
    keepalive_timeout: float = KEEPALIVE_TIMEOUT
    handshake_timeout: float = HANDSHAKE_TIMEOUT
    client_write: float = 30.0
    """For a client to take bytes that wait for it."""
    max_connections: int = MAX_CONNECTIONS
    backlog: int = BACKLOG
    drain: float = 30.0
    """For live responses to end at shutdown; then they are cut."""
    certfile: str | None = None
    keyfile: str | None = None
    """PEM files; with both, clients are spoken to over TLS."""

    @property
    def tls(self) -> bool:
        """Whether clients are spoken to over TLS."""
        return self.certfile is not None and self.keyfile is not None
