"""Users by signed tokens: who a JWT says that its bearer is, and until when. No IO.

The signature, the issuer and the audience are PyJWT's to check; time is an argument here, so that
what was verified once can be remembered for as long as it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
import msgspec
from jwt.types import Options

from .auth_settings import UserSettings
from .user_keys import UserKey

LONGEST: Final = 8 * 1024
"""Characters of a token: with more it is not looked at, whatever it may be."""
LONGEST_NAME: Final = 200

_OPTIONS: Final[Options] = {
    "require": ["exp", "sub"],
    "verify_exp": False,  # `_until` does
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,  # `_name` does, and says so
}
_FAULTS: Final = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)
"""What a stranger's token can make a reader raise."""


class NotKnown(Exception):  # noqa: N818 -- what a credential is
    """A credential that is not valid; the text says why, and quotes nothing of it."""


class User(msgspec.Struct, frozen=True):
    """``name`` is the token's ``sub``; ``until``: seconds since the epoch, the leeway included."""

    name: str
    until: float


class Users:
    """Those of one issuer."""

    def __init__(self, settings: UserSettings, keys: Sequence[UserKey]) -> None:
        self._settings = settings
        self._keys = keys

    def user_of(self, token: str, now: float) -> User:
        """Whom ``token`` names; ``now``: in seconds since the epoch. Raises `NotKnown`.

        At most one signature is computed, whatever the token says.
        """
        if len(token) > LONGEST:
            raise NotKnown("it is too long")
        try:
            key = self._key_for(jwt.get_unverified_header(token))
            claims = self._claims(token, key)
        except jwt.InvalidIssuerError as problem:
            raise NotKnown("it is of another issuer") from problem
        except jwt.InvalidAudienceError as problem:
            raise NotKnown("it is meant for somebody else") from problem
        except jwt.MissingRequiredClaimError as problem:
            raise NotKnown("it lacks exp, sub, or what else must be there") from problem
        except _FAULTS as problem:
            raise NotKnown("its signature is not valid") from problem
        return User(_name(claims), self._until(claims, now))

    def _key_for(self, header: Mapping[str, Any]) -> UserKey:
        if "crit" in header:  # extensions that must be understood (RFC 7515, 4.1.11): we have none
            raise NotKnown("it asks for what this service does not know")
        algorithm, identity = header.get("alg"), header.get("kid")
        keys = [key for key in self._keys if key.algorithm == algorithm]
        named = [key for key in keys if key.id is not None and key.id == identity]
        found = named or [key for key in keys if identity is None or key.id is None]
        if len(found) != 1:
            raise NotKnown("it is signed with a key that this service does not know")
        return found[0]

    def _claims(self, token: str, key: UserKey) -> dict[str, Any]:
        settings = self._settings
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=settings.issuer,
            audience=settings.audience or None,
            options={**_OPTIONS, "verify_aud": bool(settings.audience)},
        )

    def _until(self, claims: Mapping[str, Any], now: float) -> float:
        until = _moment(claims, "exp") + self._settings.leeway
        if until <= now:
            raise NotKnown("it has expired")
        if "nbf" in claims and _moment(claims, "nbf") - self._settings.leeway > now:
            raise NotKnown("it is not valid yet")
        return until


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise NotKnown(f"its {name} is no time")
    return float(value)


def _name(claims: Mapping[str, Any]) -> str:
    name = claims["sub"]
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise NotKnown("its sub is no name")
    return name
