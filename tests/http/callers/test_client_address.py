"""The address that a client is known by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http.callers.client_address import UNIX, client_address, named

PEER = ("192.0.2.1", 4711)


def at(*forwarded: str, depth: int = 0, peer: tuple[str, int] | None = PEER) -> str:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return client_address(peer, [(b"host", b"x"), *headers], depth)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]:80", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("unknown", None),
        ("", None),
        ("1.2.3.4.5", None),
    ],
)
def test_an_address_has_one_name_however_it_is_written(written: str, name: str | None) -> None:
    assert named(written) == name


def test_clients_of_a_unix_socket_are_one() -> None:
    assert at(peer=None) == UNIX


def test_what_clients_say_is_not_read_unless_proxies_are_configured() -> None:
    assert at("198.51.100.7") == "192.0.2.1"


@pytest.mark.parametrize(
    ("forwarded", "depth", "name"),
    [
        (["198.51.100.7"], 1, "198.51.100.7"),
        (["6.6.6.6, 198.51.100.7"], 1, "198.51.100.7"),
        (["6.6.6.6", "198.51.100.7"], 1, "198.51.100.7"),
        (["6.6.6.6, 198.51.100.7, 10.0.0.1"], 2, "198.51.100.7"),
        (["6.6.6.6, 198.51.100.7", "10.0.0.1"], 2, "198.51.100.7"),
        (["2001:db8::7"], 1, "2001:db8::/64"),
        # It did not come that way.
        ([], 1, "192.0.2.1"),
        (["198.51.100.7"], 2, "192.0.2.1"),
        (["198.51.100.7, "], 1, "192.0.2.1"),
        (["nonsense"], 1, "192.0.2.1"),
        (["1" * 1000], 1, "192.0.2.1"),
        (["\N{LATIN SMALL LETTER E WITH ACUTE}"], 1, "192.0.2.1"),
    ],
)
def test_behind_proxies_the_client_is_whom_the_first_of_ours_saw(
    forwarded: list[str], depth: int, name: str
) -> None:
    assert at(*forwarded, depth=depth) == name
    assert at(*forwarded, depth=depth, peer=None) in {name, UNIX}


@given(st.text(max_size=80), st.integers(0, 3))
def test_whatever_a_client_says_its_name_is_short_and_an_address(said: str, depth: int) -> None:
    headers = [(b"x-forwarded-for", said.encode("utf-8", "replace"))]
    name = client_address(PEER, headers, depth)
    assert len(name) <= 43
    assert set(name) <= set("0123456789abcdef:./")


@given(said=st.lists(st.ip_addresses(v=4), max_size=5), proxies=st.lists(st.ip_addresses(v=4), min_size=1, max_size=3))  # fmt: skip  # noqa: E501
def test_nothing_that_a_client_says_changes_who_it_is(
    said: list[object], proxies: list[object]
) -> None:
    seen = ["198.51.100.7", *map(str, proxies[:-1])]  # each proxy adds whom it was called by
    header = ", ".join([*map(str, said), *seen])
    assert at(header, depth=len(proxies)) == "198.51.100.7"
