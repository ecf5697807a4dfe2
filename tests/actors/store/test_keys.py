"""The names of what is kept, and the operations on it."""

from hypothesis import given
from hypothesis import strategies as some

from sluice.actors.store import Script, command, key

parts = some.lists(some.text(min_size=1, max_size=8), min_size=1, max_size=3)


def test_a_key_has_the_prefix_the_version_and_the_kind() -> None:
    assert key("cache", "abc") == "sluice:1:cache:abc"


def test_keys_that_belong_together_share_what_a_cluster_hashes() -> None:
    assert key("queue", "head", together="overflow") == "sluice:1:queue:{overflow}:head"


@given(parts, parts)
def test_different_parts_never_make_the_same_key(one: list[str], other: list[str]) -> None:
    assert (key("kind", *one) == key("kind", *other)) == (one == other)


@given(some.text(max_size=20))
def test_a_stranger_cannot_choose_where_in_a_cluster_a_key_lies(part: str) -> None:
    assert "{" not in key("limit", part)


def test_the_first_argument_of_a_command_is_its_key() -> None:
    assert command("GET", "a").key == "a"
    assert command("PING").key is None
    assert command("XREAD", "STREAMS", "s", "0", key="s").key == "s"


def test_a_script_is_asked_for_by_its_hash_and_sent_where_it_is_missing() -> None:
    op = Script("return 1").on(["a", "b"], 7)
    assert op.key == "a"
    assert op.packed().startswith(b"*6\r\n$7\r\nEVALSHA\r\n$40\r\n")
    assert op.packed_with_source() == (
        b"*6\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n7\r\n"
    )
