"""Whom sentinels call master: through redis-py.

They are asked in a thread, for that is seldom: before a connection, not for an operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from .address import Node, SentinelAddress
from .errors import LinkFailed
from .link import shorten
from .settings import StoreSettings

T = TypeVar("T")


async def master_of(address: SentinelAddress, settings: StoreSettings) -> Node:
    """The node that the sentinels call master now. Raises `LinkFailed`.

    Sentinels themselves are asked without a password.
    """
    options = _options(settings, tls=address.tls)

    def ask() -> Node:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [(node.host, node.port) for node in address.nodes], sentinel_kwargs=options
        )
        try:
            host, port = sentinel.discover_master(address.master)  # type: ignore[no-untyped-call]
        finally:
            for each in sentinel.sentinels:
                each.close()
        return Node(str(host), int(port))

    return await _in_thread(ask, f"no {address}")


def _options(settings: StoreSettings, *, tls: bool) -> dict[str, Any]:
    bound = settings.connect_timeout
    options: dict[str, Any] = {"socket_timeout": bound, "socket_connect_timeout": bound}
    options["retry"] = Retry(NoBackoff(), 0)  # whoever asks asks again
    if tls:
        options |= {"ssl": True, "ssl_ca_certs": settings.ca_file, "ssl_check_hostname": True}
    return options


async def _in_thread(ask: Callable[[], T], what: str) -> T:
    try:
        return await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
    except (redis.RedisError, OSError, ValueError, LookupError, TypeError) as problem:
        # The last three are what redis-py makes of an answer that no sentinel would give.
        raise LinkFailed(f"{what}: {shorten(problem)}") from problem
