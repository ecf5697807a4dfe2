"""Who is calling: tokens, users by JWT, and what a stranger may try."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.http.app_world import World

from sluice.actors.failures import Failure
from sluice.actors.limits.callers import Caller
from sluice.actors.settings import Rate, Secret
from sluice.http.callers import identity as module
from sluice.http.callers.auth_settings import AuthSettings, TokenSettings, UserSettings
from sluice.http.callers.identity import Identity, credential_in
from sluice.http.callers.user_keys import key_in_pem, keys_in_set

NOW = 1_800_000_000.0
SECRET = "s" * 32
TOKEN = "sk-sluice-of-the-test"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


TOKENS = {
    "batch": TokenSettings("batch", digest(TOKEN)),
    "large": TokenSettings("large", digest("large one"), limit=Rate(5, "second")),
    "free": TokenSettings("free", digest("free one"), limit=None),
}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def identity(clock: Clock | None = None, **settings: Any) -> Identity:
    return Identity(AuthSettings(**settings), clock or Clock())


def by_users(clock: Clock | None = None, **settings: Any) -> Identity:
    settings.setdefault("secret", Secret(SECRET))
    return identity(clock, jwt=UserSettings(**settings))


def scope(credential: str | None = None, header: str = "authorization") -> dict[str, Any]:
    headers = []
    if credential is not None:
        value = f"Bearer {credential}" if header == "authorization" else credential
        headers = [(header.encode(), value.encode())]
    return {"headers": headers, "client": ("192.0.2.1", 1)}


def signed(
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    claims = {"sub": "ada", "exp": NOW + 60} | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers)


def refused(who: Identity, credential: str | None) -> str:
    with pytest.raises(Failure) as caught:
        who.caller_of(scope(credential))
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    if credential:
        assert credential not in caught.value.message
    return caught.value.message


ADDRESS = Caller("ip", "192.0.2.1")


def test_while_nothing_is_configured_credentials_are_not_looked_at() -> None:
    assert identity().caller_of(scope("whatever")) == ADDRESS
    assert identity().caller_of(scope()) == ADDRESS


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_token_that_is_known_is_known_by_its_name(header: str) -> None:
    who = identity(tokens=TOKENS)
    assert who.caller_of(scope(TOKEN, header)) == Caller("token", "batch")
    assert who.caller_of(scope("large one", header)).limit == Rate(5, "second")
    assert who.caller_of(scope("free one", header)).limit is None


@pytest.mark.parametrize("credential", [TOKEN[:-1], TOKEN + "x", TOKEN.upper(), digest(TOKEN), "a.b.c"])  # fmt: skip  # noqa: E501
def test_a_credential_that_is_not_known_is_refused_once_any_is_configured(credential: str) -> None:
    refused(identity(tokens=TOKENS), credential)
    refused(by_users(), credential)


def test_who_says_nothing_is_known_by_his_address_unless_that_is_not_enough() -> None:
    assert identity(tokens=TOKENS).caller_of(scope()) == ADDRESS
    refused(identity(tokens=TOKENS, anonymous=False), None)
    assert identity(tokens=TOKENS, anonymous=False).caller_of(scope(TOKEN)).name == "batch"


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ([("authorization", "Bearer a")], b"a"),
        ([("authorization", "bearer  a ")], b"a"),
        ([("x-api-key", "b"), ("authorization", "Bearer a")], b"a"),
        ([("authorization", "Basic a"), ("x-api-key", "b")], b"b"),
        ([("authorization", "Bearer "), ("x-api-key", "b")], b"b"),
        ([("authorization", "Bearer"), ("x-api-key", "")], None),
        ([("x-api-key", "b"), ("x-api-key", "c")], b"b"),
        ([], None),
    ],
)
def test_a_credential_stands_where_the_sdks_put_it(
    headers: list[tuple[str, str]], credential: bytes | None
) -> None:
    assert credential_in([(name.encode(), value.encode()) for name, value in headers]) == credential


def test_a_user_is_who_his_token_says_that_he_is() -> None:
    assert by_users().caller_of(scope(signed())) == Caller("user", "ada")


def test_tokens_and_users_may_be_configured_side_by_side() -> None:
    who = identity(tokens=TOKENS, jwt=UserSettings(secret=Secret(SECRET)))
    assert who.caller_of(scope(TOKEN)).kind == "token"
    assert who.caller_of(scope(signed())).kind == "user"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW - 31}, "it has expired"),
        ({"exp": None}, "it lacks exp"),
        ({"exp": "soon"}, "its exp is no time"),
        ({"exp": 1e300}, "its exp is no time"),
        ({"exp": float("inf")}, "its exp is no time"),
        ({"exp": True}, "its exp is no time"),
        ({"nbf": NOW + 31}, "it is not valid yet"),
        ({"sub": None}, "it lacks exp, sub"),
        ({"sub": ""}, "its sub is no name"),
        ({"sub": 7}, "its sub is no name"),
        ({"sub": "a" * 201}, "its sub is no name"),
        ({"sub": "a\nb"}, "its sub is no name"),
        ({"iss": "somebody"}, "it is of another issuer"),
        ({"iss": None}, "it lacks exp, sub, or what else must be there"),
        ({"aud": "somebody"}, "it is meant for somebody else"),
        ({"aud": None}, "it lacks exp, sub, or what else must be there"),
    ],
)
def test_a_signed_token_is_refused_for_what_it_says(claims: dict[str, Any], why: str) -> None:
    who = by_users(issuer="us", audience=("sluice", "other"))
    good: dict[str, Any] = {"iss": "us", "aud": ["sluice"]}
    assert who.caller_of(scope(signed(**good))).name == "ada"
    assert why in refused(who, signed(**good | claims))


def test_clocks_may_differ_by_the_leeway() -> None:
    who = by_users(leeway=10.0)
    assert who.caller_of(scope(signed(exp=NOW - 9, nbf=NOW + 9))).name == "ada"
    assert "expired" in refused(who, signed(exp=NOW - 10))


def test_another_secret_and_a_changed_token_are_refused() -> None:
    refused(by_users(), signed("t" * 32))
    header, body, signature = signed().split(".")
    other = base64.urlsafe_b64encode(json.dumps({"sub": "eve", "exp": NOW + 60}).encode())
    refused(by_users(), f"{header}.{other.decode().rstrip('=')}.{signature}")
    refused(by_users(), f"{header}.{body}.")


def test_a_token_does_not_choose_how_it_is_verified(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(RSA))
    who = by_users(secret=None, key_file=str(tmp_path / "key.pem"))
    assert who.caller_of(scope(signed(RSA, "RS256"))).name == "ada"
    unsigned = jwt.encode({"sub": "eve", "exp": NOW + 60}, "", "none")
    refused(who, unsigned)
    # The public key, which everybody knows, as the secret of HS256: built by hand, for PyJWT
    # refuses to.
    header = _part({"alg": "HS256", "typ": "JWT"})
    body = _part({"sub": "eve", "exp": NOW + 60})
    mac = hmac.new(pem(RSA), f"{header}.{body}".encode(), hashlib.sha256).digest()
    refused(who, f"{header}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")
    for algorithm in ("RS384", "PS256", "RS512"):
        refused(who, signed(RSA, algorithm))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
def test_the_kind_of_key_decides_the_algorithm(key: Any, algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key))
    who = by_users(secret=None, key_file=str(tmp_path / "key.pem"))
    assert who.caller_of(scope(signed(key, algorithm))).name == "ada"
    assert key_in_pem(pem(key)).algorithm == algorithm


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if key is RSA else jwt.algorithms.ECAlgorithm
    written = algorithm.to_jwk(key.public_key())
    return {**json.loads(written), **more}


def test_of_several_keys_the_one_that_a_token_names_verifies_it(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    keys = [jwk(RSA, kid="one"), jwk(EC, kid="two", alg="ES256"), jwk(other, kid="three")]
    (tmp_path / "keys.json").write_bytes(jwks(*keys))
    who = by_users(secret=None, jwks_file=str(tmp_path / "keys.json"))
    assert who.caller_of(scope(signed(EC, "ES256", {"kid": "two"}))).name == "ada"
    assert who.caller_of(scope(signed(RSA, "RS256"))).name == "ada"  # there is one of RSA only
    for headers in ({"kid": "three"}, {"kid": "four"}, {"kid": "one"}, None):
        refused(who, signed(EC, "ES256", headers))


def test_keys_that_are_not_for_verifying_are_left_out_of_a_set() -> None:
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    encrypting = jwk(RSA, use="enc")
    larger = {"kty": "EC", "crv": "P-384", "x": "", "y": ""}
    (only,) = keys_in_set(jwks(symmetric, encrypting, larger, jwk(EC, kid="e", use="sig")))
    assert (only.algorithm, only.id) == ("ES256", "e")


PRIVATE = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 -- that is what is wrong with it


@pytest.mark.parametrize(
    ("load", "content", "why"),
    [
        (key_in_pem, b"", "no PEM public key"),
        (
            key_in_pem,
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "no PEM public",
        ),
        (key_in_pem, PRIVATE, "a private key"),
        (key_in_pem, pem(SMALL), "1024 bits"),
        (key_in_pem, pem(ec.generate_private_key(ec.SECP384R1())), "neither RSA nor P-256"),
        (keys_in_set, b"", "no JSON Web Key Set"),
        (keys_in_set, b"[" * 100_000, "no JSON Web Key Set"),
        (keys_in_set, b"\xff", "no JSON Web Key Set"),
        (keys_in_set, b'{"keys": [{}]}', "no JSON Web Key Set"),
        (keys_in_set, jwks(), "no public key for"),
        (keys_in_set, jwks({"kty": "oct", "k": "c2VjcmV0"}), "no public key for"),
        (keys_in_set, jwks({"kty": "RSA", "n": "!", "e": "AQAB"}), "no JSON Web Key Set"),
        (keys_in_set, jwks({**jwk(EC), "d": "AAAA"}), "a private key"),
        (keys_in_set, jwks(*[jwk(EC)] * 101), "more than 100"),
    ],
)
def test_files_of_keys_that_cannot_be_used_say_why(load: Any, content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load(content)


def test_extensions_that_must_be_understood_are_refused() -> None:
    refused(by_users(), signed(headers={"crit": ["b64"], "b64": False}))


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        "..",
        "eyJ." * 5000,
        _part({"alg": "HS256"}) + "." + "A" * 8000,
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":"HS256","kid":' + b"9" * 5000 + b"}").decode() + ".e.e",
        _part({"alg": ["HS256"]}) + ".e30.e30",
        _part({"alg": "HS256", "kid": 4}) + ".e30.e30",
        _part("HS256") + ".e30.e30",
        "\x00.\x00.\x00",
    ],
)
def test_nonsense_is_refused_and_harms_nobody(token: str) -> None:
    refused(by_users(), token)


@given(st.binary(max_size=300))
def test_whatever_bytes_come_as_a_credential_they_are_refused(credential: bytes) -> None:
    who = by_users()
    found = {"headers": [(b"x-api-key", credential)], "client": ("192.0.2.1", 1)}
    try:
        assert who.caller_of(found) == ADDRESS
        assert not credential.strip()
    except Failure as failure:
        assert failure.status == 401  # noqa: PT017 -- either is right


def test_what_was_verified_is_remembered_until_it_expires_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    who = by_users(clock, leeway=0.0)
    token = signed(exp=NOW + 60)
    assert who.caller_of(scope(token)).name == "ada"
    monkeypatch.setattr(jwt, "decode", None)  # it must not be called again
    clock.now = NOW + 59.9
    assert who.caller_of(scope(token)).name == "ada"
    monkeypatch.undo()
    clock.now = NOW + 60
    assert "expired" in refused(who, token)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VERIFIED", 3)
    who = by_users()
    for number in range(10):
        assert who.caller_of(scope(signed(sub=str(number)))).name == str(number)
    assert len(who._verified) == 3


# On the routes


def world(**settings: Any) -> World:
    return World(identity=identity(**settings))


async def test_the_job_tells_who_asked() -> None:
    at = world(tokens=TOKENS)
    await at.chat(CHAT, headers={"Authorization": f"Bearer {TOKEN}"})
    assert at.job.caller == Caller("token", "batch")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/stream"),
        ("GET", "/stream?model=gpt-4o&prompt=hi"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/gpt-4o"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "nobody's"}])
async def test_a_401_challenges_and_is_told_in_the_routes_style(
    method: str, target: str, headers: dict[str, str]
) -> None:
    at = world(tokens=TOKENS, anonymous=False)
    answer = await at.call(method, target, msgspec.json.encode(CHAT), headers)
    assert answer.status == 401
    assert answer.header("www-authenticate") == "Bearer"
    assert answer.error["code"] == "invalid_api_key"
    kind = "validation_error" if target.startswith("/stream") else "authentication_error"
    assert answer.error["type"] == kind
    assert at.streams.jobs == []
    if "models" not in target:
        assert at.report.caller == Caller("ip", "127.0.0.1")
        assert at.report.error == ("validation_error", "validation")
        assert at.report.outcome is None


SAYS = "The API key is not known here."
ANTHROPICS = {"type": "error", "error": {"type": "authentication_error", "message": SAYS}}


@pytest.mark.parametrize(
    ("method", "target", "headers", "told"),
    [
        ("POST", "/v1/messages", {}, ANTHROPICS),
        ("POST", "/v2/chat", {}, {"message": SAYS}),
        ("GET", "/v1/models", {"anthropic-version": "2023-06-01"}, ANTHROPICS),
    ],
)
async def test_a_401_of_other_formats_is_told_as_their_sdks_read_it(
    method: str, target: str, headers: dict[str, str], told: object
) -> None:
    at = world(tokens=TOKENS, anonymous=False)
    answer = await at.call(method, target, b"{}", {"x-api-key": "nobody's", **headers})
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    assert msgspec.json.decode(answer.body) == told


async def test_who_is_refused_has_no_body_read() -> None:
    at = world(tokens=TOKENS, anonymous=False)
    answer = await at.call("POST", "/v1/chat/completions", events=[{"type": "http.disconnect"}])
    assert answer.status == 401


@pytest.mark.parametrize("target", ["/health", "/health/live", "/metrics"])
async def test_health_and_metrics_ask_nobody(target: str) -> None:
    assert (await world(tokens=TOKENS, anonymous=False).call("GET", target)).status != 401
