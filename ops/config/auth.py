"""``[auth]``: who may call, and how they are known. Key files are loaded, to be told in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from sluice.actors.settings import Secret
from sluice.http.callers.auth_settings import HS256_KEY
from sluice.http.callers.user_keys import key_in_pem, keys_in_set

from .mistakes import Refused, shown
from .pem import content_of, place_of
from .rules import Context, Rule, text_of
from .toml_lines import Path

Values = Mapping[str, object]
Told = Iterator[tuple[Path, str, str]]
"""A key's path, what is wrong, and what is allowed."""

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_KEYS: Final = ("secret", "key_file", "jwks_file")


def digest() -> Rule:
    """A SHA-256 in hexadecimal."""

    def read(value: object, _: Context) -> str:
        if _DIGEST.fullmatch(text_of(value)) is None:  # perhaps the token itself: not quoted
            raise Refused("it is no SHA-256")
        return text_of(value).lower()

    return Rule("64 hexadecimal digits, as `sluice token` prints them", read, private=True)


def public_key() -> Rule:
    """The path of a PEM file with a public key that we verify with."""
    return _keys("the path of a PEM file with a public key, of RSA or of P-256", key_in_pem)


def key_set() -> Rule:
    """The path of a file with a JSON Web Key Set."""
    return _keys("the path of a JSON Web Key Set with public keys, of RSA or P-256", keys_in_set)


def _keys(allowed: str, load: Callable[[bytes], object]) -> Rule:
    def read(value: object, context: Context) -> str:
        place = place_of(value, context)
        content = content_of(place, value)
        try:
            load(content)
        except ValueError as problem:
            raise Refused(f"{shown(value)} is of no use: {problem}") from problem
        return str(place)

    return Rule(allowed, read)


def mistakes(auth: Values) -> Told:
    """What no single value of ``[auth]`` shows."""
    jwt = cast("Values | None", auth.get("jwt"))
    tokens = cast("Mapping[str, Values]", auth.get("tokens", {}))
    if jwt is not None:
        yield from _mistakes_of_users(jwt)
    if auth.get("anonymous") is False and not tokens and jwt is None:
        allowed = "true, or a token in [auth.tokens.NAME], or [auth.jwt]"
        yield ("auth", "anonymous"), "nobody could come in: nobody is known", allowed
    seen: dict[object, str] = {}
    for name, token in tokens.items():
        other = seen.setdefault(token.get("sha256"), name)
        if other != name and "sha256" in token:
            yield ("auth", "tokens", name, "sha256"), f'it is that of "{other}", too', "another one"


def _mistakes_of_users(jwt: Values) -> Told:
    given = [key for key in _KEYS if key in jwt]
    if len(given) != 1:
        said = f"{' and '.join(given)} are given" if given else "it has no key"
        yield ("auth", "jwt"), said, f"one of {', '.join(_KEYS)}"
    secret = jwt.get("secret")
    if isinstance(secret, Secret) and len(secret.value.encode()) < HS256_KEY:
        said = f"the secret is too short for HS256 (RFC 7518): it has {len(secret.value)} bytes"
        yield ("auth", "jwt", "secret"), said, f"{HS256_KEY} bytes or more"


def notices(auth: Values, bind: str, limits: Values) -> Iterator[tuple[Path, str]]:
    """What works, and may not be what was meant."""
    jwt = cast("Values | None", auth.get("jwt"))
    if jwt is not None and not ("issuer" in jwt and "audience" in jwt):
        missing = " and ".join(key for key in ("issuer", "audience") if key not in jwt)
        text = f"without {missing}, every token counts that was signed with this key, for whomever"
        yield ("auth", "jwt"), text
    limited = limits.get("ip", True) is not None
    if bind.startswith("unix:") and not auth.get("forwarded_depth") and limited:
        text = (
            "all clients of a Unix socket are one address, and share its limit, unless"
            " [auth] forwarded_depth says how many proxies tell who they are"
        )
        yield ("server", "bind"), text
