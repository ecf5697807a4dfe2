"""What an operator may write as the store's URL, and what each mistake is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sluice.actors.store.address import (
    SCHEMES,
    Address,
    ClusterAddress,
    Node,
    SentinelAddress,
    ServerAddress,
    SocketAddress,
    parse,
)
from sluice.actors.store.errors import StoreUrlError

A, B = Node("a", 6379), Node("b", 7000)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://a", ServerAddress(A)),
        ("redis://A:6379/", ServerAddress(A)),
        ("redis://a/3", ServerAddress(A, 3)),
        ("rediss://b:7000/0", ServerAddress(B, 0, tls=True)),
        ("redis://127.0.0.1:7000", ServerAddress(Node("127.0.0.1", 7000))),
        ("redis://[::1]:7000/1", ServerAddress(Node("::1", 7000), 1)),
        ("unix:///run/redis.sock", SocketAddress("/run/redis.sock")),
        ("unix:///run/redis.sock?db=2", SocketAddress("/run/redis.sock", 2)),
        ("redis+cluster://a,b:7000", ClusterAddress((A, B))),
        ("redis+cluster://a,b:7000,a/0", ClusterAddress((A, B))),
        ("rediss+cluster://a", ClusterAddress((A,), tls=True)),
        ("redis+sentinel://a/main", SentinelAddress((Node("a", 26379),), "main")),
        ("redis+sentinel://a:6379,b:7000/main/5", SentinelAddress((A, B), "main", 5)),
        ("rediss+sentinel://b:7000/m", SentinelAddress((B,), "m", tls=True)),
    ],
)
def test_a_url_means_one_address(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "none of the known schemes"),
        ("redis:/a", "none of the known schemes"),
        ("http://a", "none of the known schemes"),
        ("REDIS://a", "none of the known schemes"),
        ("redis://:hunter2@a", "password do not belong"),
        ("redis://a b", "a character that no URL has"),
        ("redis://a\n", "a character that no URL has"),
        ("redis://ä", "a character that no URL has"),
        ("redis://", "a host is missing"),
        ("redis://:6379", "a host is missing"),
        ("redis://a,b", "several hosts"),
        ("redis://a:0", "a port is out of range"),
        ("redis://a:65536", "a port is out of range"),
        ("redis://a:", "a port is out of range"),
        ("redis://a:x", "a port is out of range"),
        ("redis://::1", "not HOST:PORT"),
        ("redis://[::g]", "no IPv6 address"),
        ("redis://[1.2.3.4]", "no IPv6 address"),
        ("redis://1.2.3", "no IPv4 address"),
        ("redis://-a", "a name that no host has"),
        ("redis://a/x", "the database is not a number"),
        ("redis://a/-1", "the database is not a number"),
        ("redis://a/1/2", "the database is not a number"),
        ("redis://a?x=1", "it has a query"),
        ("unix://run/redis.sock", "no absolute path"),
        ("unix:///", "no absolute path"),
        ("unix:///a?x=1", "query is not db=N"),
        (f"unix:///{'x' * 107}", "too long for a socket"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://a,", "a host is missing"),
        ("redis+cluster://a/1", "a cluster has no databases"),
        ("redis+cluster://" + ",".join(f"n{i}" for i in range(65)), "names 65 hosts"),
        ("redis+sentinel://a", "name of the master is missing"),
        ("redis+sentinel://a/m+m", "name of the master is missing"),
        ("redis+sentinel://a/m/x", "the database is not a number"),
    ],
)
def test_a_mistake_is_told_with_what_is_allowed_and_never_with_a_password(
    url: str, said: str
) -> None:
    with pytest.raises(StoreUrlError) as told:
        parse(url)
    assert said in str(told.value)
    assert "; allowed: " in str(told.value)
    assert "hunter2" not in str(told.value)


@given(some.sampled_from(SCHEMES), some.text(max_size=40))
def test_whatever_is_written_is_an_address_or_a_mistake(scheme: str, rest: str) -> None:
    try:
        said = f"{parse(f'{scheme}://{rest}')}; allowed: it is"
    except StoreUrlError as problem:
        said = str(problem)
    assert "; allowed: " in said
