"""Opening a connection to a provider: names, both IP versions at once, TCP, TLS, one deadline."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import trio

from sluice.actors.failures import UpstreamFault

from .connection import UpstreamConnection
from .tls import TlsWire
from .wire import PlainWire, Wire

REFUSED: Final = frozenset((errno.ECONNREFUSED,))


class Origin(msgspec.Struct, frozen=True):
    """Where a request goes: what one pooled connection has in common with the next."""

    host: str
    """A name in ASCII (IDNA where need be), or an address without brackets."""
    port: int
    secure: bool


Hold = Callable[[Callable[[], None]], None]
"""Told what to call to end what is under way; each time, what it was told before is over."""


async def dial(
    origin: Origin, context: ssl.SSLContext | None, timeout: float, hold: Hold | None = None
) -> UpstreamConnection:
    """A new connection to ``origin``, verified if it is secure, within ``timeout`` seconds.

    ``context`` is needed for a secure origin only. Raises `UpstreamFault` ("refused",
    "unreachable", "tls", "reset", "connect_timeout": also when ended by what ``hold`` was told).
    """
    with trio.move_on_after(timeout) as waiting:
        if hold is not None:
            hold(waiting.cancel)
        return UpstreamConnection(await _open(origin, context))
    raise UpstreamFault("connect_timeout", f"not connected within {timeout:g} s")


async def _open(origin: Origin, context: ssl.SSLContext | None) -> Wire:
    connected = await _connect(origin)
    if not origin.secure:
        return PlainWire(connected)
    if context is None:
        connected.close()
        raise UpstreamFault("tls", "no TLS context for a secure origin")
    return await _secure(connected, context, origin.host)


async def _secure(connected: socket.socket, context: ssl.SSLContext, host: str) -> TlsWire:
    try:
        wire = TlsWire(connected, context, host)
        await wire.handshake()
    except BaseException:
        connected.close()
        raise
    return wire


async def _connect(origin: Origin) -> socket.socket:
    """A connected socket of the standard library's: trio's own cannot be used by the pump."""
    family = _family(origin.host)
    try:
        if family is None:
            return await _connect_to_name(origin)
        return await _connect_to_address(family, (origin.host, origin.port))
    except (OSError, UnicodeError) as error:
        raise _connect_fault(error) from error


async def _connect_to_name(origin: Origin) -> socket.socket:
    stream = await trio.open_tcp_stream(origin.host, origin.port)
    connected = socket.socket(fileno=stream.socket.detach())
    connected.setblocking(False)
    return connected


def _family(host: str) -> socket.AddressFamily | None:
    """Of an address; None for a name, and for what only the resolver reads (``fe80::1%eth0``)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return socket.AF_INET
    return None if address.scope_id else socket.AF_INET6


async def _connect_to_address(
    family: socket.AddressFamily, address: tuple[str, int]
) -> socket.socket:
    """With nothing to look up or to choose from, a quarter of the cost. Raises `OSError`."""
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = connected.connect_ex(address)
        if number == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(connected)
            number = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))  # noqa: TRY301 -- closed below, like all
    except BaseException:
        connected.close()
        raise
    return connected


def _connect_fault(error: BaseException) -> UpstreamFault:
    """Refused only if every address refused: one that answered so is a better word than none."""
    causes = [cause for cause in _leaves(error) if isinstance(cause, OSError)]
    if causes and all(cause.errno in REFUSED for cause in causes):
        return UpstreamFault("refused", "connection refused")
    return UpstreamFault("unreachable", str(error))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What trio found at each address: the error itself, its cause, or a group of causes."""
    cause = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    elif cause is not None:
        yield from _leaves(cause)
    else:
        yield error
