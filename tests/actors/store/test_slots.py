"""Which node has which slot, as a node of a cluster says, and what a strange one may say."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from sluice.actors.store.address import Node
from sluice.actors.store.cluster import _probes
from sluice.actors.store.dial import PING
from sluice.actors.store.errors import LinkFailed
from sluice.actors.store.replies import Reply
from sluice.actors.store.slots import SLOTS, read

ASKED, A, B = Node("asked", 1), Node("a", 7000), Node("b", 7001)


def test_each_slot_is_its_masters_and_not_its_replicas() -> None:
    half = SLOTS // 2
    owners = read(
        ASKED,
        [
            [0, half - 1, [b"a", 7000, b"id", []], [b"replica", 7002, b"id"]],
            [half, SLOTS - 1, [b"b", 7001]],
        ],
    )
    assert owners == {slot: A if slot < half else B for slot in range(SLOTS)}


@pytest.mark.parametrize("host", [None, b""])
def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(host: bytes | None) -> None:
    assert read(ASKED, [[5, 5, [host, 7000]]]) == {5: Node("asked", 7000)}


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        [b"OK"],
        [[0, SLOTS, [b"a", 7000]]],
        [[2, 1, [b"a", 7000]]],
        [[0, 1, [b"a", 0]]],
        [[0, 1, [b"a", b"7000"]]],
        [[0, 1]],
    ],
)
def test_what_is_no_list_of_slots_is_told(reply: object) -> None:
    with pytest.raises(LinkFailed, match="asked:1 answered what is no list of slots"):
        read(ASKED, reply)


def test_a_refusal_is_told_with_its_words() -> None:
    with pytest.raises(LinkFailed, match="asked:1 answered ERR This instance has cluster support"):
        read(ASKED, Reply("ERR This instance has cluster support disabled"))


@pytest.mark.parametrize("border", [SLOTS // 100, SLOTS // 3, SLOTS // 2, SLOTS - SLOTS // 100])
def test_each_node_is_probed_with_a_key_of_its_own(border: int) -> None:
    owners = {slot: A if slot < border else B for slot in range(SLOTS)}
    for node, probe in _probes(owners).items():
        assert probe.key is not None
        assert owners[key_slot(str(probe.key).encode())] == node


def test_for_a_node_with_next_to_no_slots_no_key_is_looked_for_long() -> None:
    owners = {0: A, **dict.fromkeys(range(1, SLOTS), B)}  # of the keys tried, none is slot 0's
    assert _probes(owners)[A] == PING
