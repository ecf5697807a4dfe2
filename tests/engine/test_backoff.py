"""The delays before restarts."""

from random import Random

import pytest

from sluice.engine import Backoff
from sluice.engine._backoff import Row

STEADY = Backoff(base=0.1, factor=2, limit=1, jitter=0, healthy=10)


def delays(backoff: Backoff, *uptimes: float) -> list[float]:
    row, chance = Row(backoff), Random(1)  # noqa: S311 -- jitter
    return [round(row.next_delay(uptime, chance), 6) for uptime in uptimes]


def test_the_first_restart_is_immediate() -> None:
    """The first restart is immediate."""
    assert delays(STEADY, 3) == [0]


def test_restarts_in_a_row_wait_longer_up_to_the_limit() -> None:
    assert delays(STEADY, *[0.0] * 7) == [0, 0.1, 0.2, 0.4, 0.8, 1, 1]


def test_a_thousand_restarts_in_a_row_do_not_overflow() -> None:
    assert delays(STEADY, *[0.0] * 2000)[-1] == 1


def test_jitter_takes_off_at_most_its_share() -> None:
    """Further restarts in a row wait longer, with jitter."""
    jittered = delays(Backoff(base=1, factor=1, jitter=0.5), *[0.0] * 50)[1:]
    assert all(0.5 <= delay <= 1 for delay in jittered)
    assert len(set(jittered)) > 40


def test_a_healthy_time_starts_the_row_anew() -> None:
    """An incarnation that stayed healthy starts the row anew."""
    assert delays(STEADY, 0, 0, 0, 10, 0) == [0, 0.1, 0.2, 0, 0.1]


@pytest.mark.parametrize(
    "nonsense",
    [{"base": -1}, {"first": -1}, {"limit": -1}, {"factor": 0.5}, {"jitter": 2}, {"healthy": -1}],
)
def test_nonsense_is_rejected(nonsense: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff"):
        Backoff(**nonsense)
