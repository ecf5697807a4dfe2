"""Where the store is: the URLs an operator may write, read into one of four addresses. Pure.

=========================================================  ======================================
``redis://HOST[:PORT][/DATABASE]``                         one server
``rediss://HOST[:PORT][/DATABASE]``                        one server, over TLS
``unix:///PATH[?db=DATABASE]``                             one server, at a socket
``redis+cluster://HOST[:PORT],HOST[:PORT]...``             a cluster, by some of its nodes
``redis+sentinel://HOST[:PORT],.../MASTER[/DATABASE]``     whom these sentinels call MASTER
=========================================================  ======================================

``rediss+cluster`` and ``rediss+sentinel`` speak TLS with every node. An IPv6 address stands in
brackets. The last two kinds of URL are ours: no standard has them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, TypeAlias

import msgspec

from .errors import StoreUrlError

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MOST_NODES: Final = 64
UNIX_PATH: Final = 107
"""Bytes that ``sockaddr_un`` has for a path."""

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_NODE: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>[^:]*))?")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_DATABASE: Final = re.compile(r"[0-9]{1,5}")
_IPV4_LIKE: Final = re.compile(r"[0-9.]+")


class Node(msgspec.Struct, frozen=True):
    """A host and a port."""

    host: str
    """A name or an address; IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ServerAddress(msgspec.Struct, frozen=True):
    """One server."""

    node: Node
    database: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return str(self.node)


class SocketAddress(msgspec.Struct, frozen=True):
    """One server at a Unix socket."""

    path: str
    database: int = 0

    def __str__(self) -> str:
        return f"unix:{self.path}"


class ClusterAddress(msgspec.Struct, frozen=True):
    """A cluster; ``nodes`` are those to ask for the others."""

    nodes: tuple[Node, ...]
    tls: bool = False

    def __str__(self) -> str:
        return "cluster " + ",".join(map(str, self.nodes))


class SentinelAddress(msgspec.Struct, frozen=True):
    """The server that sentinels call ``master``."""

    nodes: tuple[Node, ...]
    master: str
    database: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return f"master {self.master} of sentinels " + ",".join(map(str, self.nodes))


Address: TypeAlias = ServerAddress | SocketAddress | ClusterAddress | SentinelAddress

SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)


def parse(url: str) -> Address:
    """The address that ``url`` means. Raises `StoreUrlError`."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in SCHEMES:
        listed = ", ".join(f"{each}://" for each in SCHEMES)
        raise StoreUrlError(f"it starts with none of the known schemes; allowed: {listed}")
    if "@" in rest:
        raise StoreUrlError(
            'it holds "@": user name and password do not belong in it; allowed: [store] username '
            "and password beside it"
        )
    if not rest.isascii() or not rest.isprintable() or set(rest) & set(' "<>\\^`{|}#'):
        raise StoreUrlError("it holds a character that no URL has; allowed: printable ASCII")
    if scheme == "unix":
        return _socket(rest)
    if "?" in rest:
        raise StoreUrlError("it has a query; allowed: none, options stand in [store] beside it")
    tls = scheme.startswith("rediss")
    match scheme.partition("+")[2]:
        case "cluster":
            return _cluster(rest, tls=tls)
        case "sentinel":
            return _sentinel(rest, tls=tls)
        case _:
            return _server(rest, tls=tls)


def _server(rest: str, *, tls: bool) -> ServerAddress:
    host, _, path = rest.partition("/")
    if "," in host:
        raise StoreUrlError(
            "it names several hosts; allowed: one, or redis+cluster:// or redis+sentinel://"
        )
    return ServerAddress(_node(host, REDIS_PORT), _database(path), tls)


def _socket(rest: str) -> SocketAddress:
    path, query, options = rest.partition("?")
    if not path.startswith("/") or path.endswith("/"):
        raise StoreUrlError("it has no absolute path; allowed: unix:///PATH or unix:///PATH?db=N")
    if len(path.encode()) > UNIX_PATH:
        raise StoreUrlError(f"its path is too long for a socket; allowed: {UNIX_PATH} bytes")
    if query and not options.startswith("db="):
        raise StoreUrlError("its query is not db=N; allowed: unix:///PATH?db=N")
    return SocketAddress(path, _database(options.removeprefix("db=")))


def _cluster(rest: str, *, tls: bool) -> ClusterAddress:
    hosts, _, path = rest.partition("/")
    if path not in ("", "0"):
        raise StoreUrlError("a cluster has no databases; allowed: nothing after the hosts, or /0")
    return ClusterAddress(_nodes(hosts, REDIS_PORT), tls)


def _sentinel(rest: str, *, tls: bool) -> SentinelAddress:
    hosts, _, path = rest.partition("/")
    master, _, database = path.partition("/")
    if not _NAME.fullmatch(master):
        raise StoreUrlError(
            "the name of the master is missing or odd; allowed: /NAME after the sentinels, "
            "of letters, digits and . _ -"
        )
    return SentinelAddress(_nodes(hosts, SENTINEL_PORT), master, _database(database), tls)


def _nodes(hosts: str, port: int) -> tuple[Node, ...]:
    nodes = tuple(dict.fromkeys(_node(each, port) for each in hosts.split(",")))
    if len(nodes) > MOST_NODES:
        raise StoreUrlError(f"it names {len(nodes)} hosts; allowed: at most {MOST_NODES}")
    return nodes


def _node(written: str, port: int) -> Node:
    found = _NODE.fullmatch(written)
    if found is None:
        raise StoreUrlError("a host is not HOST:PORT; allowed: HOST, HOST:PORT or [IPV6]:PORT")
    host = found["host"]
    if not host:
        raise StoreUrlError("a host is missing; allowed: HOST, HOST:PORT or [IPV6]:PORT")
    if found["port"] is not None:
        port = _port(found["port"])
    if host.startswith("["):
        return Node(_ip(host[1:-1], 6), port)
    if _IPV4_LIKE.fullmatch(host):
        return Node(_ip(host, 4), port)
    if not _HOST.fullmatch(host):
        raise StoreUrlError("a host has a name that no host has; allowed: letters, digits, . _ -")
    return Node(host.lower(), port)


def _port(written: str) -> int:
    number = int(written) if _DATABASE.fullmatch(written) else 0
    if not 1 <= number <= 65_535:
        raise StoreUrlError("a port is out of range; allowed: 1 to 65535")
    return number


def _ip(written: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise StoreUrlError(
            f"a host is no IPv{version} address; allowed: HOST, HOST:PORT or [IPV6]:PORT"
        )
    return str(address)


def _database(written: str) -> int:
    if not written:
        return 0
    if not _DATABASE.fullmatch(written):
        raise StoreUrlError("the database is not a number; allowed: /0, /1, ...")
    return int(written)
