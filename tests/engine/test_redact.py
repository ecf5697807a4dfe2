"""What is shown of messages and states, and what is not."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from sluice.engine._redact import LENGTH, MASK, WIDTH, Redactor, names_a_secret


class Login(msgspec.Struct, frozen=True):
    user: str
    password: str
    headers: dict[str, str]


class Hidden(msgspec.Struct, frozen=True):
    value: str

    def __repr__(self) -> str:
        return "Secret(***)"


class Opaque:
    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown


@dataclass
class Account:
    name: str
    api_key: str


@pytest.mark.parametrize(
    "name",
    [
        *["key", "api_key", "apiKey", "APIKEY", "token", "authToken", "access-token"],
        *["client_secret", "password", "password2", "Authorization", "proxy_authorization"],
        *["auth", "cookie"],
    ],
)
def test_a_field_named_like_a_secret_is_one(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["max_tokens", "monkey", "keyboard", "author", "model", "tokens"])
def test_a_field_that_only_sounds_like_a_secret_is_none(name: str) -> None:
    assert not names_a_secret(name)


def test_a_struct_keeps_its_fields_and_loses_its_secrets() -> None:
    login = Login("ada", "swordfish", {"authorization": "Bearer abc", "accept": "*/*"})
    assert Redactor().value(login) == {
        "type": "Login",
        "user": "ada",
        "password": MASK,
        "headers": {"authorization": MASK, "accept": "*/*"},
    }


def test_a_dataclass_likewise() -> None:
    shown = Redactor().value(Account("ada", "k-12345"))
    assert shown == {"type": "Account", "name": "ada", "api_key": MASK}


def test_an_object_whose_repr_says_secret_is_hidden() -> None:
    redactor = Redactor()
    shown = redactor.value({"a": Hidden("swordfish"), "b": Opaque("<Secret swordfish>")})
    assert shown == {"a": MASK, "b": MASK}
    assert redactor.text("it was swordfish") == f"it was {MASK}"


def test_a_struct_that_holds_a_secret_still_shows_the_rest() -> None:
    assert Redactor().value([Login("ada", "x", {}), Hidden("y")])[0]["user"] == "ada"


def test_secrets_that_were_met_are_struck_out_of_texts() -> None:
    redactor = Redactor()
    redactor.value(Login("ada", "swordfish", {"cookie": "chocolate"}))
    redactor.value({"keys": [b"raw-bytes", {"inner": "nested-one"}]})
    text = "swordfish chocolate raw-bytes nested-one ada"
    assert redactor.text(text) == f"{MASK} {MASK} {MASK} {MASK} ada"


def test_a_short_secret_does_not_strike_out_words() -> None:
    redactor = Redactor()
    redactor.value({"key": "a"})
    assert redactor.text("a cat") == "a cat"


def test_a_secret_is_remembered_below_the_depth_that_is_shown() -> None:
    redactor = Redactor()
    value: object = Hidden("swordfish")
    for _ in range(8):
        value = {"inner": value}
    redactor.value(value)
    assert redactor.text("swordfish") == MASK


def test_what_is_shown_is_bounded() -> None:
    redactor = Redactor()
    endless: list[object] = []
    endless.append(endless)
    redactor.value(endless)
    assert len(redactor.value("x" * 10_000)) < LENGTH + 40
    assert len(redactor.value(list(range(1000)))) == WIDTH
    assert redactor.value(b"x" * 10_000) == "<10000 bytes>"


def test_a_repr_that_raises_is_told_and_harms_nobody() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert Redactor().value(Rude()) == "<Rude: repr raised RuntimeError>"
