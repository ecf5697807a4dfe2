"""Whom sentinels call master, and which node of a cluster has which slot: through redis-py.

Both are asked in a thread, for they are asked seldom: before a connection, not for an operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import redis
import trio
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

from .address import ClusterAddress, Node, SentinelAddress
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


async def owners_of(address: ClusterAddress, settings: StoreSettings) -> dict[int, Node]:
    """The node of each slot that has one. Raises `LinkFailed`."""
    options = _options(settings, tls=address.tls)
    if settings.password is not None:
        options |= {"username": settings.username, "password": settings.password.value}

    def ask() -> dict[int, Node]:
        make: Any = ClusterNode
        nodes = [make(node.host, node.port) for node in address.nodes]
        cluster = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
        try:
            cache: Mapping[int, list[Any]] = cluster.nodes_manager.slots_cache
            return {slot: Node(str(n[0].host), int(n[0].port)) for slot, n in cache.items() if n}
        finally:
            cluster.close()

    return await _in_thread(ask, f"no {address}")


def _options(settings: StoreSettings, *, tls: bool) -> dict[str, Any]:
    bound = settings.connect_timeout
    options: dict[str, Any] = {"socket_timeout": bound, "socket_connect_timeout": bound}
    if tls:
        options |= {"ssl": True, "ssl_ca_certs": settings.ca_file, "ssl_check_hostname": True}
    return options


async def _in_thread(ask: Callable[[], T], what: str) -> T:
    try:
        return await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
    except (redis.RedisError, OSError) as problem:
        raise LinkFailed(f"{what}: {shorten(problem)}") from problem
