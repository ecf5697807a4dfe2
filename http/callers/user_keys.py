"""The keys by which users' tokens are verified, each bound to the one algorithm that it is for.

That a token may not choose how it is verified is the point (RFC 8725, 3.1): a public RSA key
that is taken for an HS256 secret lets anybody sign.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .auth_settings import UserSettings

MOST_KEYS: Final = 100
_SMALLEST_RSA: Final = 2048
_PRIVATE: Final = re.compile(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----", re.MULTILINE)


class UserKey(msgspec.Struct, frozen=True):
    """One key. ``id``: the ``kid`` that a token names it by."""

    algorithm: str
    key: Any
    id: str | None = None


class _Jwk(msgspec.Struct):
    """What decides whether a key of a set is one for signatures that we verify."""

    kty: str
    use: str | None = None
    alg: str | None = None
    crv: str | None = None
    kid: str | None = None


class _Jwks(msgspec.Struct):
    keys: list[msgspec.Raw]


def keys_of(settings: UserSettings) -> list[UserKey]:
    """The keys that ``settings`` name. Raises `OSError`, or ValueError with what is wrong."""
    if settings.secret is not None:
        return [UserKey("HS256", settings.secret.value.encode())]
    if settings.key_file is not None:
        return [key_in_pem(Path(settings.key_file).read_bytes())]
    return keys_in_set(Path(settings.jwks_file or "").read_bytes())


def key_in_pem(content: bytes) -> UserKey:
    """The public key in a PEM file. Raises ValueError."""
    if _PRIVATE.search(content):
        raise ValueError("it holds a private key; signatures are verified with the public one")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise ValueError("it holds no PEM public key") from problem
    return _bound(key, None)


def keys_in_set(content: bytes) -> list[UserKey]:
    """Those keys of a JWKS file that verify RS256 or ES256, at least one. Raises ValueError."""
    try:
        written = msgspec.json.decode(content, type=_Jwks).keys
        keys = [key for each in written if (key := _key_in(each)) is not None]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, jwt.PyJWTError) as problem:
        raise ValueError(f"it is no JSON Web Key Set: {problem}") from problem
    if not keys:
        raise ValueError("it holds no public key for RS256 or ES256")
    if len(keys) > MOST_KEYS:
        raise ValueError(f"it holds more than {MOST_KEYS} keys")
    return keys


def _key_in(written: msgspec.Raw) -> UserKey | None:
    about = msgspec.json.decode(written, type=_Jwk)
    algorithm = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}.get((about.kty, about.crv))
    if algorithm is None or about.alg not in {None, algorithm} or about.use not in {None, "sig"}:
        return None
    fields = msgspec.json.decode(written, type=dict[str, Any])
    if "d" in fields:
        raise ValueError("it holds a private key; signatures are verified with public ones")
    return _bound(jwt.PyJWK(fields, algorithm).key, about.kid)


def _bound(key: object, identity: str | None) -> UserKey:
    if isinstance(key, RSAPublicKey):
        if key.key_size < _SMALLEST_RSA:
            raise ValueError(f"its RSA key has {key.key_size} bits, which is too few")
        return UserKey("RS256", key, identity)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return UserKey("ES256", key, identity)
    raise ValueError("its key is neither RSA nor P-256")
