"""Cross-origin requests (WHATWG Fetch, "CORS protocol"). Off unless origins are configured.

Credentials in the browser's sense (cookies) are never allowed: callers identify themselves
with a header, so ``*`` is safe to configure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .asgi import Headers, find

EXPOSED: Final = (
    b"X-Request-Id, X-Stream-Id, X-Cache, X-Provider, X-Model, Retry-After, "
    b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
MAX_AGE: Final = b"600"
"""Seconds a browser may remember a preflight: Chromium's own ceiling is 7200."""

_HEADER_NAMES = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z, ]{1,2000}")


class Cors:
    """Which origins' pages may read our answers: exact origins, or ``*`` for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self.enabled = bool(origins)
        self._any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request: Sequence[tuple[bytes, bytes]]) -> Headers:
        """What an answer to ``request`` carries; nothing while no origin is configured.

        ``Vary: Origin`` is there even if the origin is not allowed or missing, because a
        cache must not serve this answer to another origin.
        """
        if not self.enabled:
            return []
        origin = find(request, b"origin")
        exposed = (b"access-control-expose-headers", EXPOSED)
        if self._any:
            return [(b"access-control-allow-origin", b"*"), exposed]
        if origin is None or origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [(b"vary", b"Origin"), (b"access-control-allow-origin", origin), exposed]

    def preflight(self, request: Sequence[tuple[bytes, bytes]], methods: bytes) -> Headers:
        """What the answer to an ``OPTIONS`` request carries for a route with ``methods``.

        The headers asked for are all allowed: SDKs send many of their own (``x-stainless-*``).
        """
        headers = self.headers(request)
        allowed = any(name == b"access-control-allow-origin" for name, _ in headers)
        if not allowed or find(request, b"access-control-request-method") is None:
            return headers
        headers.append((b"access-control-allow-methods", methods))
        asked = find(request, b"access-control-request-headers")
        if asked is not None and _HEADER_NAMES.fullmatch(asked):
            headers.append((b"access-control-allow-headers", asked))
            headers.append((b"vary", b"Access-Control-Request-Headers"))
        headers.append((b"access-control-max-age", MAX_AGE))
        return headers
