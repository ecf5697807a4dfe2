"""The servers behind a URL, and the client that uses them.

What only a cluster or sentinels need is imported where one is configured: a worker that is to
replace a dead one should not wait for redis-py if nothing uses it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from random import Random

import trio

from .address import Address, ClusterAddress, SentinelAddress, ServerAddress, SocketAddress, parse
from .channel import Change, Channel
from .client import Network, StoreClient
from .counts import Counts
from .dial import PING, WRITE, Dial, dial
from .operation import Op
from .settings import StoreSettings


class SingleServer:
    """One server, wherever it is now: ``find`` opens a connection to it."""

    def __init__(self, channel: Channel, own: Dial) -> None:
        self._channel = channel
        self._own = own

    def channels(self) -> list[Channel]:
        """The one there is."""
        return [self._channel]

    def channel_for(self, _: Op) -> Channel:
        """The one there is."""
        return self._channel

    async def known(self) -> None:
        """There is nothing to find out."""

    def gap(self) -> None:
        """One server has everything."""

    async def serve(self) -> None:
        """Keep up the connection, for ever."""
        await self._channel.serve()

    async def dial_for(self, _: Op | None) -> trio.abc.Stream:
        """A connection of one's own. Raises `LinkFailed`."""
        return await self._own()


def open_client(
    settings: StoreSettings,
    on_change: Callable[[Change], None] = lambda _: None,
    *,
    address: Address | None = None,
    chance: Random | None = None,
) -> StoreClient:
    """A client for ``settings``, or for ``address`` where that is known already.

    ``on_change`` is told once when a server is passed by or full, and once when it is used again;
    it must not block. Raises `StoreUrlError`, or `OSError` for a file of certificates that is no
    good. Connects when it is served.
    """
    found = address or parse(settings.url)
    dice = chance or Random()  # noqa: S311 -- jitter, not cryptography
    counts = Counts()
    make = partial(Channel, chance=dice, counts=counts, on_change=on_change)
    return StoreClient(settings, _network(found, settings, make), counts)


def _network(address: Address, settings: StoreSettings, make: Callable[..., Channel]) -> Network:
    match address:
        case SocketAddress():
            return _single(address, settings, None, make)
        case ServerAddress(tls=tls):
            context = settings.tls_context() if tls else None
            return _single(address, settings, context, make)
        case SentinelAddress():
            return _by_sentinels(address, settings, make)
        case ClusterAddress(tls=tls):
            from .cluster import Cluster  # noqa: PLC0415 -- see the module

            return Cluster(address, settings, settings.tls_context() if tls else None, make)


def _by_sentinels(
    address: SentinelAddress, settings: StoreSettings, make: Callable[..., Channel]
) -> Network:
    from .discovery import master_of  # noqa: PLC0415 -- see the module

    tls = settings.tls_context() if address.tls else None

    async def follow(probe: Op) -> trio.abc.Stream:
        """The master is asked for before each connection: it may be another one by now."""
        node = await master_of(address, settings)
        return await dial(ServerAddress(node, address.database), settings, tls, probe)

    return SingleServer(make(str(address), partial(follow, WRITE)), partial(follow, PING))


def _single(
    address: ServerAddress | SocketAddress,
    settings: StoreSettings,
    tls: ssl.SSLContext | None,
    make: Callable[..., Channel],
) -> Network:
    channel = make(str(address), partial(dial, address, settings, tls))
    return SingleServer(channel, partial(dial, address, settings, tls, PING))
