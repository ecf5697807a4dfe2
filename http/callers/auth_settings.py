"""How clients say who they are, as an operator decides it: ``[auth]``."""

from __future__ import annotations

import msgspec

from sluice.actors.settings import Rate, Secret

LEEWAY = 30.0
"""Seconds by which an issuer's clock may differ from ours."""

HS256_KEY = 32
"""Bytes of a secret at the least (RFC 7518, 3.2)."""


class TokenSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API token that was given to somebody: ``[auth.tokens.NAME]``."""

    name: str
    sha256: str
    """Of the token, in hexadecimal. The token itself is kept nowhere."""
    limit: Rate | msgspec.UnsetType | None = msgspec.UNSET
    """Its own instead of ``[limits] token``; None: none."""


class UserSettings(msgspec.Struct, frozen=True):
    """Users by signed tokens (JWT, RFC 7519) of one issuer: ``[auth.jwt]``.

    One of ``secret``, ``key_file`` and ``jwks_file``.
    """

    secret: Secret | None = None
    """For HS256."""
    key_file: str | None = None
    """A PEM file with the public key: of RSA for RS256, of P-256 for ES256."""
    jwks_file: str | None = None
    """A JSON file with several of those (RFC 7517)."""
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    """One of these must be meant; empty: it is not looked at."""
    leeway: float = LEEWAY


class AuthSettings(msgspec.Struct, frozen=True):
    """``[auth]``. Without tokens and users, credentials are not looked at."""

    anonymous: bool = True
    """Whether those who say nothing are served, and known by their address."""
    forwarded_depth: int = 0
    """Proxies of ours before us, each of which adds to ``X-Forwarded-For``; 0: it is not read."""
    tokens: dict[str, TokenSettings] = {}
    jwt: UserSettings | None = None

    @property
    def asks(self) -> bool:
        """Whether credentials are looked at."""
        return bool(self.tokens) or self.jwt is not None
