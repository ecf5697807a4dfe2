"""Shares are small, wait until they were taken, and nothing gets lost between two of them."""

from __future__ import annotations

import msgspec

from sluice.actors.metrics.accounting import Load
from sluice.actors.metrics.catalog import Known
from sluice.actors.metrics.merging import Whole
from sluice.actors.metrics.outbox import CELLS, WAITING, Given, Outbox
from sluice.actors.metrics.tally import Tally

NAME = "m" * 190
"""As long as a configured name may be, nearly."""
MODELS = tuple(("p" * 200, f"{NAME}{number:05}") for number in range(3 * CELLS))
KNOWN = Known(providers=("p" * 200,), models=MODELS)
FRAME = 1 << 20


def busy(models: int) -> Tally:
    """A tally that has counted a request of each of so many models."""
    tally = Tally(KNOWN)
    for provider, model in MODELS[:models]:
        tally.apply([("sse_requests_total", ("success", provider, model), 1.0)])
    return tally


def counted(tally: Tally) -> float:
    return sum(tally.value("sse_requests_total", ("success", *each)) for each in MODELS)


def sent(given: Given) -> Given:
    """After a journey between two processes; a frame has room for it."""
    data = msgspec.msgpack.encode(given)
    assert len(data) < FRAME
    return msgspec.msgpack.decode(data, type=Given)


def test_thousands_of_models_are_told_in_shares_that_fit_into_frames() -> None:
    tally, outbox, whole = busy(len(MODELS)), Outbox("w"), Whole(Tally(KNOWN))
    tally.apply([("sse_queue_depth", ("overflow",), 7)])
    rounds, more = 0, True
    while more:
        outbox.fill(tally, Load())
        given = sent(outbox.give())
        for share in given.shares:
            assert whole.take("w", share, 0.0)
        outbox.taken(whole.numbers()["w"])
        more = given.more
        rounds += 1
    assert 1 < rounds < 10
    assert counted(whole.tally) == len(MODELS)
    assert counted(tally) == 0
    whole.settle()
    assert whole.tally.value("sse_queue_depth", ("overflow",)) == 7


def test_little_is_one_share() -> None:
    outbox = Outbox("w")
    outbox.fill(busy(10), Load(requests=10))
    given = outbox.give()
    assert (len(given.shares), given.more) == (1, False)
    assert given.shares[0].content.load.requests == 10


def test_what_there_is_no_room_for_stays_where_it_was_counted() -> None:
    tally, outbox = busy(len(MODELS)), Outbox("w")
    for _ in range(WAITING - 1):
        outbox.fill(busy(1), Load())
    outbox.fill(tally, Load())
    assert not outbox.has_room
    assert counted(tally) == len(MODELS) - CELLS
    assert outbox.give().more


def test_what_was_not_taken_is_given_again_and_what_was_is_not() -> None:
    outbox = Outbox("w")
    outbox.fill(busy(1), Load())
    outbox.fill(busy(2), Load())
    assert [share.number for share in outbox.give().shares] == [1, 2]
    assert [share.number for share in outbox.give().shares] == [1, 2]
    outbox.taken(1)
    assert [share.number for share in outbox.give().shares] == [2]
    outbox.taken(2)
    assert outbox.give().shares == []
    assert repr(outbox) == "<Outbox of 'w': 0 shares>"
