import resource

import pytest

from sluice.ops import limits


class Limits:
    """The system's two limits, for a user who may lower the hard one and not raise it."""

    def __init__(self, soft: int, hard: int, *, root: bool = False) -> None:
        self.now = (soft, hard)
        self.root = root

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, wanted: tuple[int, int]) -> None:
        if wanted[1] > self.now[1] and not self.root:
            raise ValueError("not allowed to raise maximum limit")
        self.now = wanted


@pytest.mark.parametrize(
    ("system", "after"),
    [
        (Limits(1024, 4096), (2000, 4096)),
        (Limits(1024, 1500), (1500, 1500)),
        (Limits(1024, 1500, root=True), (2000, 2000)),
        (Limits(5000, 5000), (5000, 5000)),
        (Limits(1024, resource.RLIM_INFINITY), (2000, resource.RLIM_INFINITY)),
    ],
)
def test_descriptors_are_raised_as_far_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, system: Limits, after: tuple[int, int]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert limits.raise_descriptors(2000) == after[0]
    assert system.now == after


def test_no_limit_is_more_than_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = Limits(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", unlimited.get)
    assert limits.raise_descriptors(10**9) >= 10**9


def test_a_stream_needs_two_descriptors() -> None:
    assert limits.descriptors_for(100) == 200 + limits.RESERVE


@pytest.mark.parametrize(
    ("soft", "clients"),
    [(1024, 1024 - 100 - limits.RESERVE), (20_000, 10_000), (100, 1)],
)
def test_clients_leave_room_for_the_providers_of_the_streams(
    monkeypatch: pytest.MonkeyPatch, soft: int, clients: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", Limits(soft, soft).get)
    assert limits.clients_within(10_000, 100) == clients
