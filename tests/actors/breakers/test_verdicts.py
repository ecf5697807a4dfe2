"""What counts against a provider: the whole table."""

from __future__ import annotations

import pytest

from sluice.actors.breakers.permits import breaker_open
from sluice.actors.breakers.verdicts import COUNTS, counts
from sluice.actors.failures import Failure, UpstreamFault
from sluice.actors.formats import reading
from sluice.actors.providers import upstream_failures

REASONS = ("refused", "unreachable", "tls", "reset", "cut", "protocol", "too_large")


def of_the_provider() -> list[Failure]:
    return [
        *(upstream_failures.too_slow(each) for each in ("connect", "first_chunk", "idle")),
        *(upstream_failures.broken(UpstreamFault(each)) for each in REASONS),
        upstream_failures.broken(UpstreamFault("connect_timeout")),
        upstream_failures.no_end_marker(),
        upstream_failures.too_large(),
        upstream_failures.wrong_content_type(),
        upstream_failures.in_band(),
        reading.malformed("chunk", "streaming"),
        reading.malformed("answer", "provider_call"),
        *(upstream_failures.refused(each, None, b"") for each in (302, 408, 429, 500, 529)),
        *(upstream_failures.refused(each, None, b"") for each in (501, 502, 503, 504)),
    ]


def not_of_the_provider() -> list[Failure]:
    return [
        *(upstream_failures.refused(each, None, b"") for each in (400, 404, 409, 413, 415, 422)),
        *(upstream_failures.refused(each, None, b"") for each in (401, 403)),
        *(upstream_failures.refused(each, None, b"") for each in (402, 405, 410, 451, 498, 499)),
        upstream_failures.internal("streaming"),
        upstream_failures.stopped(),
        breaker_open(1.0),
    ]


@pytest.mark.parametrize("failure", of_the_provider(), ids=repr)
def test_what_says_that_the_provider_is_not_well_counts(failure: Failure) -> None:
    assert counts(failure, answered=False)
    assert counts(failure, answered=True)
    assert failure.code in COUNTS


@pytest.mark.parametrize("failure", not_of_the_provider(), ids=repr)
def test_what_a_client_or_we_brought_about_does_not_count(failure: Failure) -> None:
    assert not counts(failure, answered=False)
    assert not counts(failure, answered=True)
    assert failure.code in COUNTS


def test_the_total_timeout_counts_against_silence_and_not_against_length() -> None:
    failure = upstream_failures.too_slow("total")
    assert counts(failure, answered=False)
    assert not counts(failure, answered=True)


@pytest.mark.parametrize(
    ("status", "judged"), [(400, False), (422, False), (429, True), (500, True)]
)
def test_a_code_that_is_not_in_the_table_is_judged_by_its_type_and_status(
    status: int, judged: bool
) -> None:
    failure = Failure("provider_error", "provider_call", "", status=status, code="new")
    assert counts(failure, answered=False) is judged
    assert counts(Failure("timeout_error", "streaming", "", status=504, code="new"), answered=True)
    ours = Failure("cache_error", "cache_lookup", "", status=500, code="new")
    assert not counts(ours, answered=False)
