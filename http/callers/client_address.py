"""The address that a client is known by. Pure.

* An IPv6 client is its /64: that is what a subscriber is given, who has all of it.
* IPv4 mapped into IPv6 is IPv4, so that nobody is two.
* All clients of a Unix socket are one, `UNIX`: what they are is known to whoever forwards them.
* Behind so many proxies of ours, the client is whom the first of them saw: that many places from
  the end of ``X-Forwarded-For``. What stands before is what the client says of itself. Where the
  place is missing or holds no address, the request did not come that way: whoever opened the
  connection counts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

UNIX: Final = "unix"

_REMEMBERED: Final = 4096
_LONGEST: Final = 64
"""Characters of an address with its zone and a port."""


def client_address(
    peer: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]], depth: int
) -> str:
    """What limits and logs call the client whose connection is from ``peer``."""
    if depth:
        found = forwarded(headers, depth)
        if found is not None:
            return found
    if peer is None:
        return UNIX
    return named(peer[0]) or UNIX


def forwarded(headers: Iterable[tuple[bytes, bytes]], depth: int) -> str | None:
    """The client that the ``depth``-th proxy before us saw; None: it is not told."""
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    hops = b",".join(values).rsplit(b",", depth)[-depth:]
    if len(hops) < depth:
        return None
    hop = hops[0].rpartition(b",")[2].strip()
    return named(hop.decode("ascii", "replace")) if len(hop) <= _LONGEST else None


@functools.lru_cache(_REMEMBERED)
def named(written: str) -> str | None:
    """The name of the address that is ``written``, perhaps with a port; None: it is none."""
    try:
        address = ip_address(_without_port(written))
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return _v6(address)
    return str(address)


def _v6(address: IPv6Address) -> str:
    mapped: IPv4Address | None = address.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))


def _without_port(written: str) -> str:
    """``192.0.2.1:80`` and ``[2001:db8::1]:80`` are what some proxies write."""
    if written.startswith("["):
        return written[1:].partition("]")[0]
    return written.partition(":")[0] if written.count(":") == 1 else written
