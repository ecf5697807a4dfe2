"""When a store is passed by, and how often it is probed."""

from tests.actors.store.fake_store import CHANCE

from sluice.actors.store.circuit import PROBES, STARTING, Circuit


def test_only_the_first_failure_and_the_first_success_are_news() -> None:
    circuit = Circuit(CHANCE)
    assert circuit.recovered(0)
    assert [circuit.failed(0, "gone"), circuit.failed(1, "gone")] == [True, False]
    assert (circuit.state, circuit.reason) == ("passed_by", "gone")
    assert [circuit.recovered(2), circuit.recovered(3)] == [True, False]
    assert circuit.state == "usable"


def test_the_first_probe_comes_at_once_and_the_others_ever_later_up_to_a_limit() -> None:
    circuit = Circuit(CHANCE)
    delays = []
    for now in range(12):
        circuit.failed(now, "gone")
        delays.append(circuit.delay())
    assert delays[0] == 0
    assert all(0 < delay <= PROBES.limit for delay in delays[1:])
    assert delays[-1] >= PROBES.limit * (1 - PROBES.jitter)


def test_a_store_that_fails_soon_after_each_probe_is_probed_ever_less() -> None:
    circuit = Circuit(CHANCE)
    for now in range(10):
        circuit.recovered(now)
        circuit.failed(now + 0.1, "slow")
    assert circuit.delay() >= PROBES.limit * (1 - PROBES.jitter)


def test_a_store_that_was_well_for_a_while_is_probed_at_once_again() -> None:
    circuit = Circuit(CHANCE)
    for now in range(10):
        circuit.failed(now, "gone")
    circuit.recovered(10)
    circuit.failed(10 + PROBES.healthy, "gone")
    assert circuit.delay() == 0


def test_a_store_that_is_just_starting_is_no_news_until_it_takes_long() -> None:
    circuit = Circuit(CHANCE)
    assert not circuit.failed(5, "not listening")
    assert (circuit.state, circuit.reason) == ("starting", "not listening")
    assert circuit.failed(5 + STARTING, "not listening")
    assert circuit.state == "passed_by"


def test_a_full_store_is_used_and_told_of_once_and_so_is_its_having_room_again() -> None:
    circuit = Circuit(CHANCE)
    assert not circuit.filled("full")  # before it was ever used
    circuit.recovered(0)
    assert [circuit.filled("full"), circuit.filled("full")] == [True, False]
    assert (circuit.state, circuit.reason) == ("full", "full")
    assert [circuit.recovered(1), circuit.recovered(2)] == [True, False]
    circuit.filled("full")
    assert circuit.failed(PROBES.healthy, "gone")
    assert circuit.delay() == 0  # it was well for long enough: being full is no failure
