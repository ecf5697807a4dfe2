"""The way to a provider: HTTP/1.1 on llhttp, plain and TLS, pooled, under the API of httpx2.

From the bottom: a `wire` moves bytes (a socket, or TLS on one), `response` understands them,
`connection` is both together, `dial` opens one, `pool` keeps the idle ones, and `transport`
is what httpx2 sees.
"""

from __future__ import annotations

from .connection import UpstreamConnection
from .dial import Hold, Origin, dial
from .pool import IdlePool
from .response import ResponseHead
from .tls import client_context
from .transport import CONNECTION, HEAD, Http1Transport, Pool, origin_of, request_head

__all__ = [
    "CONNECTION",
    "HEAD",
    "Hold",
    "Http1Transport",
    "IdlePool",
    "Origin",
    "Pool",
    "ResponseHead",
    "UpstreamConnection",
    "client_context",
    "dial",
    "origin_of",
    "request_head",
]
