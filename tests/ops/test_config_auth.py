"""``[auth]``: what is taken, what is a mistake, and what is worth a word."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sluice.actors.settings import Rate, Secret
from sluice.http.callers.auth_settings import TokenSettings, UserSettings
from sluice.ops.config import Config, ConfigurationError, load

A, B = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("key.pem").write_bytes(pem)
    Path("bad.pem").write_text("nothing")


def read(text: str, **environment: str) -> Config:
    Path("sluice.toml").write_text(text)
    return load("sluice.toml", environment)


def notices(text: str, **environment: str) -> list[str]:
    return [each.text for each in read(text, **environment).notices if each.key != "models"]


def test_tokens_and_users_are_read_and_cross_to_workers(tmp_path: Path) -> None:
    config = read(
        f"""
        [auth]
        anonymous = false
        forwarded_depth = 1
        [auth.tokens.batch]
        sha256 = "{A.upper()}"
        [auth.tokens."night.job"]
        sha256 = "{B}"
        limit = "off"
        [auth.jwt]
        key_file = "key.pem"
        issuer = "https://id.example"
        audience = "sluice"
        """
    )
    assert config.auth.tokens == {
        "batch": TokenSettings("batch", A),
        "night.job": TokenSettings("night.job", B, limit=None),
    }
    assert config.auth.jwt == UserSettings(
        key_file=str(tmp_path / "key.pem"), issuer="https://id.example", audience=("sluice",)
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=Config) == config


def test_a_token_may_have_a_limit_of_its_own_and_a_variable() -> None:
    config = read(f'[auth.tokens.a]\nsha256 = "{A}"\nlimit = 7', SLUICE_AUTH__TOKENS__B__SHA256=B)
    assert config.auth.tokens["a"].limit == Rate(7, "hour")
    assert config.auth.tokens["b"].sha256 == B


def test_the_secret_of_users_is_a_secret() -> None:
    config = read('[auth.jwt]\nsecret = "env:S"', S="s" * 32)
    assert config.auth.jwt is not None
    assert config.auth.jwt.secret == Secret("s" * 32)
    assert "s" * 32 in config.secrets
    assert "s" * 32 not in repr(config)


def test_the_token_of_operators_is_a_secret() -> None:
    config = read('[control]\ntoken = "env:T"', T="t" * 20)
    assert "t" * 20 in config.secrets


@pytest.mark.parametrize(
    "text",
    [
        '[auth.tokens]\nbatch = "sk-sluice-0"',
        'auth.tokens = "sk-sluice-0"',
        'auth.jwt = "sk-sluice-0"',
        'providers.openai = "sk-sluice-0"',
        'control = "sk-sluice-0"',
    ],
)
def test_a_secret_in_the_place_of_its_table_is_not_told(text: str) -> None:
    with pytest.raises(ConfigurationError, match="it is a text, not a table") as raised:
        read(text)
    assert "sk-sluice-0" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[auth]\nanonymous = false", "auth.anonymous: nobody could come in: nobody is known"),
        ("[auth.tokens.a]", "auth.tokens.a.sha256: it is missing"),
        ("[auth.tokens.a]\nsha256 = 'sk-the-token-itself'", "auth.tokens.a.sha256: it is no SHA-"),
        (
            f"[auth.tokens.a]\nsha256 = '{A}'\n[auth.tokens.b]\nsha256 = '{A}'",
            'auth.tokens.b.sha256: it is that of "a", too',
        ),
        (f"[auth.tokens.'a b']\nsha256 = '{A}'", '"a b" is no name for a token'),
        ("[auth.jwt]\nissuer = 'x'", "auth.jwt: it has no key"),
        (
            "[auth.jwt]\nsecret = 'env:S'\nkey_file = 'key.pem'",
            "auth.jwt: secret and key_file are given",
        ),
        ("[auth.jwt]\nsecret = 'env:SHORT'", "it has 5 bytes"),
        ("[auth.jwt]\nkey_file = 'none.pem'", '"none.pem" cannot be read'),
        ("[auth.jwt]\nkey_file = 'bad.pem'", '"bad.pem" is of no use: it holds no PEM public key'),
        ("[auth.jwt]\njwks_file = 'bad.pem'", '"bad.pem" is of no use: it is no JSON Web Key Set'),
        ("[auth]\nforwarded_depth = -1", "auth.forwarded_depth: -1 is out of range"),
        ("[limits]\nip = '100001/day'", "is more than can be counted in one window"),
        ("[limits]\nreplicas = 0", "limits.replicas: 0 is out of range"),
    ],
)
def test_mistakes_are_told_where_they_are_and_hold_no_secret(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text, S="s" * 32, SHORT="short")
    assert told in str(caught.value)
    assert "sk-the-token-itself" not in str(caught.value)


def test_keys_that_anybodys_token_was_signed_with_are_named() -> None:
    (told,) = notices("[auth.jwt]\nkey_file = 'key.pem'")
    assert told.startswith("without issuer and audience, every token counts")
    assert not notices("[auth.jwt]\nkey_file = 'key.pem'\nissuer = 'i'\naudience = 'a'")


def test_clients_of_a_unix_socket_that_share_one_limit_are_named() -> None:
    socket = "[server]\nbind = 'unix:/s'\n"
    (told,) = notices(socket)
    assert told.startswith("all clients of a Unix socket are one address")
    assert not notices(f"{socket}[auth]\nforwarded_depth = 1")
    assert not notices(f"{socket}[limits]\nip = 'off'")


@pytest.mark.parametrize(("anonymous", "named"), [("true", True), ("false", False)])
def test_an_open_door_is_one_that_lets_anybody_in(anonymous: str, named: bool) -> None:
    text = (
        "[server]\nbind = '0.0.0.0:80'\n"
        f"[auth]\nanonymous = {anonymous}\n[auth.tokens.a]\nsha256 = '{A}'\n"
        "[providers.p]\nbase_url = 'https://p'\napi_key = 'env:K'\n"
    )
    assert any("no credentials" in each for each in notices(text, K="sk-1")) == named
