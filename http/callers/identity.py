"""Who is calling: by the credential of a request, else by its address (``seed 5``).

A credential stands in ``Authorization: Bearer`` or ``x-api-key``, as the SDKs send it. Once
tokens or users are configured, one that is not known is refused, whoever sends it; while none
are, credentials are not looked at, because every SDK sends some key.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from sluice.actors.failures import Failure
from sluice.actors.limits.callers import Caller
from sluice.http.asgi import Headers, Scope
from sluice.http.json_body import invalid

from .auth_settings import AuthSettings, TokenSettings
from .client_address import client_address
from .user_keys import keys_of
from .users import NotKnown, User, Users

CHALLENGE: Final = (b"www-authenticate", b"Bearer")
"""The header of every 401 (RFC 9110, 11.6.1)."""

MOST_VERIFIED: Final = 1024
"""Users' tokens whose signature need not be computed again until they expire."""
_REMEMBERED: Final = 4096
_PREFIX: Final = 2


class Tokens:
    """The API tokens that are known, by their digests."""

    def __init__(self, settings: Mapping[str, TokenSettings]) -> None:
        self._known: dict[bytes, list[tuple[bytes, Caller]]] = {}
        """By the first bytes of the digest, so that not all have to be compared."""
        for each in settings.values():
            digest = bytes.fromhex(each.sha256)
            caller = Caller("token", each.name, each.limit)
            self._known.setdefault(digest[:_PREFIX], []).append((digest, caller))

    def find(self, digest: bytes) -> Caller | None:
        """Whose token has ``digest``. Compared in constant time, though only digests are."""
        found: Caller | None = None
        for known, caller in self._known.get(digest[:_PREFIX], ()):
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Identity:
    """Tells who is calling. Raises `OSError` or ValueError if the files of keys are no good.

    ``clock``: in seconds since the epoch, as users' tokens count.
    """

    def __init__(
        self, settings: AuthSettings | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings or AuthSettings()
        self._clock = clock
        self._tokens = Tokens(self._settings.tokens)
        users = self._settings.jwt
        self._users = None if users is None else Users(users, keys_of(users))
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    def caller_of(self, scope: Scope) -> Caller:
        """Who sends the request of ``scope``. Raises a 401 `Failure`."""
        if self._settings.asks:
            credential = credential_in(scope["headers"])
            if credential is not None:
                return self._known(credential)
            if not self._settings.anonymous:
                raise unauthorized("Say who you are: Authorization: Bearer, or x-api-key.")
        return self.by_address(scope)

    def by_address(self, scope: Scope) -> Caller:
        """The client of ``scope``, whatever it says of itself."""
        depth = self._settings.forwarded_depth
        return _at(client_address(scope.get("client"), scope["headers"], depth))

    def _known(self, credential: bytes) -> Caller:
        digest = hashlib.sha256(credential).digest()
        caller = self._tokens.find(digest) or self._remembered(digest)
        if caller is not None:
            return caller
        if self._users is None:
            raise unauthorized("The API key is not known here.")
        try:
            user = self._users.user_of(credential.decode("ascii", "replace"), self._clock())
        except NotKnown as problem:
            raise unauthorized(f"The API key or token is not valid: {problem}.") from None
        return self._remember(digest, user)

    def _remembered(self, digest: bytes) -> Caller | None:
        caller, until = self._verified.get(digest, (None, 0.0))
        if caller is not None and until <= self._clock():
            del self._verified[digest]
            return None
        return caller

    def _remember(self, digest: bytes, user: User) -> Caller:
        caller = Caller("user", user.name)
        self._verified[digest] = (caller, user.until)
        if len(self._verified) > MOST_VERIFIED:
            self._verified.popitem(last=False)
        return caller


def credential_in(headers: Headers) -> bytes | None:
    """What a client says to prove who it is; a bearer's token comes before an API key."""
    key: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, credential = value.partition(b" ")
            if scheme.lower() == b"bearer" and credential.strip():
                return credential.strip()
        elif name == b"x-api-key" and key is None:
            key = value.strip() or None
    return key


def unauthorized(message: str) -> Failure:
    """401: the client has to say who it is, or is not who it says."""
    return invalid(message, code="invalid_api_key", status=401)


@functools.lru_cache(_REMEMBERED)
def _at(address: str) -> Caller:
    return Caller("ip", address)
