"""Rules for addresses: where we listen, where providers are, who may call from a browser."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sluice.actors.store import EMBEDDED, StoreUrlError, parse
from sluice.actors.store.address import SCHEMES

from .mistakes import Refused, shown
from .rules import Context, Rule

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_ONLY_DIGITS: Final = re.compile(r"[0-9.]+")
_BIND: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")
_UNIX_PATH: Final = 107
"""Bytes that ``sockaddr_un`` has for a path."""


def bind() -> Rule:
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:PATH``; port 0 takes any free one."""

    def read(value: object, _: Context) -> str:
        if not isinstance(value, str) or not value.strip():
            raise Refused(f"{shown(value)} is not an address")
        if value.startswith("unix:"):
            return _unix(value)
        found = _BIND.fullmatch(value)
        if found is None:
            raise Refused(f"{shown(value)} is not HOST:PORT" + _hint(value))
        if not _is_host(found["host"]):
            raise Refused(f"{shown(value)} has no valid host")
        if int(found["port"]) > 65_535:
            raise Refused(f"{shown(value)} has a port above 65535")
        return f"{found['host']}:{int(found['port'])}"

    return Rule('"HOST:PORT", "[IPV6]:PORT" or "unix:/PATH", such as "127.0.0.1:8000"', read)


def control_address() -> Rule:
    """Like `bind`, but of this machine only: who controls the service may end it."""
    anywhere = bind()

    def read(value: object, context: Context) -> str:
        address = str(anywhere.read(value, context))
        if not address.startswith("unix:") and not is_loopback(
            address.rpartition(":")[0].strip("[]")
        ):
            raise Refused(f"{shown(value)} can be reached from other machines")
        return address

    return Rule('"unix:/PATH", or a loopback address with a port: "127.0.0.1:8001"', read)


def _unix(value: str) -> str:
    place = value.removeprefix("unix:")
    if not place.startswith("/"):
        raise Refused(f"{shown(value)} is not an absolute path")
    if len(place.encode()) > _UNIX_PATH or not place.isprintable():
        raise Refused(f"{shown(value)} is not a path of at most {_UNIX_PATH} bytes")
    return value


def _hint(value: str) -> str:
    if value.startswith("http"):
        return ", without a scheme"
    if value.count(":") > 1 and "[" not in value:
        return ": an IPv6 address stands in brackets"
    return "" if ":" in value else ": the port is missing"


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        return _is_address(host[1:-1], 6)
    if _ONLY_DIGITS.fullmatch(host):
        return _is_address(host, 4)
    return _HOST.fullmatch(host) is not None


def _is_address(host: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether ``host`` (without brackets) is this machine by its very name."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_ROUTES: Final = ("/chat/completions", "/messages", "/v2/chat")
"""Of the three formats; the client of a provider appends them."""


def base_url() -> Rule:
    """A provider's, without the route: ``https://api.openai.com/v1``."""

    def read(value: object, _: Context) -> str:
        parts = _split(value, {"http", "https"})
        if parts.query or parts.fragment:
            raise Refused(f"{shown(value)} has a query or a fragment")
        if parts.path.rstrip("/").endswith(_ROUTES):
            raise Refused(f"{shown(value)} names a route, which we append ourselves")
        return parts.geturl().rstrip("/")

    return Rule('"http://" or "https://", a host, and the path up to "/v1" or the like', read)


def origin() -> Rule:
    """A web origin as a browser sends it, or ``*``."""

    def read(value: object, _: Context) -> str:
        if value == "*":
            return "*"
        parts = _split(value, {"http", "https"})
        if parts.path or parts.query or parts.fragment:
            raise Refused(f"{shown(value)} is more than an origin: nothing follows host and port")
        return parts.geturl().lower()

    return Rule('"*" or an origin such as "https://app.example.com"', read)


def store_url() -> Rule:
    """``embedded`` or a Redis URL, which may hold a password and so is never quoted."""

    def read(value: object, _: Context) -> str:
        if not isinstance(value, str):
            raise Refused("it is not a text in quotes")
        if value != EMBEDDED:
            try:
                parse(value)
            except StoreUrlError as problem:
                what, _semicolon, allowed = str(problem).partition("; allowed: ")
                raise Refused(f"{what} (there: {allowed})") from problem
        return value

    listed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    return Rule(f'"embedded", or a URL with {listed}', read, private=True)


def _split(value: object, schemes: set[str]) -> SplitResult:
    """``value`` as a URL with a host. One with a user or a password is refused unquoted."""
    if not isinstance(value, str) or not value:
        raise Refused(f"{shown(value)} is not a URL")
    if "@" in value:
        raise Refused('it holds "@": a user name or a password does not belong in a URL')
    if not value.isascii() or not value.isprintable() or set(value) & set(' "<>\\^`{|}'):
        raise Refused(f"{shown(value)} holds a character that no URL has")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as problem:
        raise Refused(f"{shown(value)} is not a URL: {problem}") from problem
    if parts.scheme not in schemes:
        raise Refused(f"{shown(value)} does not start with " + _schemes(schemes))
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if not _is_host(host) or port == 0:
        raise Refused(f"{shown(value)} has no valid host and port")
    return parts


def _schemes(schemes: set[str]) -> str:
    return " or ".join(f"{scheme}://" for scheme in sorted(schemes))
