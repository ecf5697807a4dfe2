"""What a request's report moves, case by case, and the rates of the last minute."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors.metrics.told import a_report

from sluice.actors.metrics.accounting import Load, Rates, Window, is_error, load_of, updates
from sluice.actors.metrics.catalog import ALL, Known
from sluice.actors.metrics.reports import Again, Attempt, RequestReport
from sluice.actors.metrics.tally import Labels, Tally

KNOWN = Known(
    providers=("openai", "anthropic"),
    models=(("openai", "gpt-4"), ("anthropic", "claude-3")),
)

STREAMED = a_report(
    stages=(("validation", 0.001), ("provider_call", 0.4), ("streaming", 2.5)),
    substages=(("validation", "validation", 0.001), ("provider_call", "first_content", 0.02)),
    chunks_total=500,
)

WHOLE = msgspec.structs.replace(
    STREAMED, streamed=False, first_chunk=0.5, stream_duration=2.5, chunks=1
)

TURNED_AWAY = RequestReport(
    request_id="r",
    stream_id="s",
    route="/v1/chat/completions",
    streamed=True,
    outcome=None,
    http_status=400,
    provider="other",
    model="other",
    duration=0.001,
    stages=(("validation", 0.001),),
    substages=(("validation", "validation", 0.001),),
)


def moved(report: RequestReport) -> dict[tuple[str, Labels], float]:
    """Metric and labels to value; fails if a report moves the same series twice."""
    changes = updates(report)
    by_series = {(name, labels): value for name, labels, value in changes}
    assert len(by_series) == len(changes)
    return by_series


def of(changes: dict[tuple[str, Labels], float], name: str) -> dict[Labels, float]:
    return {labels: value for (metric, labels), value in changes.items() if metric == name}


def but(report: RequestReport, **changes: Any) -> RequestReport:
    return msgspec.structs.replace(report, **changes)


def test_a_complete_stream_moves_all_that_a_stream_has() -> None:
    assert moved(STREAMED) == {
        ("sse_requests_total", ("success", "openai", "gpt-4")): 1,
        ("sse_request_duration_seconds", ("total",)): 3.0,
        ("sse_request_duration_seconds", ("validation",)): 0.001,
        ("sse_request_duration_seconds", ("provider_call",)): 0.4,
        ("sse_request_duration_seconds", ("streaming",)): 2.5,
        ("sse_stage_duration_seconds", ("validation", "validation")): 0.001,
        ("sse_stage_duration_seconds", ("provider_call", "first_content")): 0.02,
        ("sse_provider_requests_total", ("openai", "success")): 1,
        ("sse_provider_latency_seconds", ("openai",)): 0.4,
        ("sse_time_to_first_chunk_seconds", ("openai",)): 0.5,
        ("sse_stream_duration_seconds", ("openai",)): 2.5,
        ("sse_chunks_streamed_total", ("openai",)): 7,
    }


@pytest.mark.parametrize("outcome", ["success", "failure", "timeout"])
def test_a_request_counts_once_with_its_outcome(outcome: str) -> None:
    changes = moved(but(STREAMED, outcome=outcome))
    assert of(changes, "sse_requests_total") == {(outcome, "openai", "gpt-4"): 1}


def test_a_request_counts_under_what_served_it_not_under_what_was_asked_first() -> None:
    rescued = but(
        STREAMED,
        provider="anthropic",
        model="claude-3",
        attempts=(Attempt("openai", "failure", None), Attempt("anthropic", "success", 0.9)),
    )
    changes = moved(rescued)
    assert of(changes, "sse_requests_total") == {("success", "anthropic", "claude-3"): 1}
    assert of(changes, "sse_chunks_streamed_total") == {("anthropic",): 7}
    assert of(changes, "sse_time_to_first_chunk_seconds") == {("anthropic",): 0.5}


def test_a_rescued_attempt_counts_at_its_provider_and_is_no_error() -> None:
    rescued = but(
        STREAMED,
        attempts=(Attempt("openai", "timeout", None), Attempt("anthropic", "success", 0.9)),
    )
    changes = moved(rescued)
    assert of(changes, "sse_provider_requests_total") == {
        ("openai", "timeout"): 1,
        ("anthropic", "success"): 1,
    }
    assert of(changes, "sse_provider_latency_seconds") == {("anthropic",): 0.9}
    assert of(changes, "sse_errors_total") == {}


def test_a_retry_at_the_same_provider_counts_twice_there() -> None:
    attempt = Attempt("openai", "failure", None)
    tally = Tally(KNOWN)
    tally.apply(updates(but(STREAMED, attempts=(attempt, attempt))))
    assert tally.value("sse_provider_requests_total", ("openai", "failure")) == 2


def test_retries_and_fallbacks_count_by_who_failed_and_why() -> None:
    again = (Again("retry", "openai", "unavailable"), Again("fallback", "openai", "silent"))
    changes = moved(but(STREAMED, again=again))
    assert of(changes, "sse_retries_total") == {("openai", "unavailable"): 1}
    assert of(changes, "sse_fallbacks_total") == {("openai", "silent"): 1}


def test_a_request_that_a_limit_turned_away_counts_by_that_limit_alone() -> None:
    limited = but(TURNED_AWAY, http_status=429, limited_by="token", end="rate_limit_exceeded")
    assert moved(limited) == {("sse_rate_limit_exceeded_total", ("token",)): 1}
    assert not is_error(limited)
    assert load_of(limited) == Load()


def test_a_failure_the_client_saw_counts_once() -> None:
    failed = but(STREAMED, outcome="failure", error=("provider_error", "streaming"))
    changes = moved(failed)
    assert of(changes, "sse_errors_total") == {("provider_error", "streaming"): 1}
    assert of(changes, "sse_requests_total") == {("failure", "openai", "gpt-4"): 1}


def test_an_invalid_request_counts_as_an_error_and_nothing_else() -> None:
    refused = but(TURNED_AWAY, error=("validation_error", "validation"))
    assert moved(refused) == {("sse_errors_total", ("validation_error", "validation")): 1}


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_without_a_slot_counts_as_an_error_and_nothing_else(status: int) -> None:
    refused = but(TURNED_AWAY, http_status=status, error=("connection_pool_exhausted", "admission"))
    assert moved(refused) == {("sse_errors_total", ("connection_pool_exhausted", "admission")): 1}


def test_a_request_over_its_rate_limit_moves_nothing_by_its_report() -> None:
    assert moved(but(TURNED_AWAY, http_status=429)) == {}


def test_a_whole_answer_has_neither_first_chunk_nor_stream_duration_nor_chunks() -> None:
    names = {name for name, _ in moved(WHOLE)}
    assert names == {
        "sse_requests_total",
        "sse_request_duration_seconds",
        "sse_stage_duration_seconds",
        "sse_provider_requests_total",
        "sse_provider_latency_seconds",
    }


def test_a_stream_that_never_began_has_no_time_to_first_chunk() -> None:
    failed = but(
        STREAMED,
        outcome="failure",
        first_chunk=None,
        stream_duration=None,
        chunks=0,
        attempts=(Attempt("openai", "failure", None),),
        error=("provider_error", "provider_call"),
    )
    changes = moved(failed)
    for name in (
        "sse_time_to_first_chunk_seconds",
        "sse_stream_duration_seconds",
        "sse_chunks_streamed_total",
        "sse_provider_latency_seconds",
    ):
        assert of(changes, name) == {}


@pytest.mark.parametrize(
    ("end", "reason"), [("client_left", "left"), ("client_stalled", "stalled")]
)
@pytest.mark.parametrize(
    ("first_chunk", "when"), [(None, "before_first_chunk"), (0.5, "streaming")]
)
def test_a_client_that_leaves_is_no_failure_of_ours(
    end: str, reason: str, first_chunk: float | None, when: str
) -> None:
    changes = moved(but(STREAMED, end=end, first_chunk=first_chunk))
    assert of(changes, "sse_requests_total") == {("success", "openai", "gpt-4"): 1}
    assert of(changes, "sse_errors_total") == {}
    assert of(changes, "sse_client_disconnects_total") == {(reason, when): 1}


@pytest.mark.parametrize(
    "report",
    [STREAMED, WHOLE, but(STREAMED, end="client_left", error=("cache_error", "streaming"))],
)
def test_every_series_a_report_moves_is_declared(report: RequestReport) -> None:
    tally = Tally(KNOWN)
    declared = {(name, labels) for name in ALL for labels in tally.series[name].cells}
    assert moved(report).keys() <= declared


@pytest.mark.parametrize(
    ("status", "error", "counts"),
    [
        (200, None, False),
        (200, ("provider_error", "streaming"), True),
        (504, ("timeout_error", "provider_call"), True),
        (503, ("connection_pool_exhausted", "admission"), True),
        (429, ("connection_pool_exhausted", "admission"), False),
        (429, ("provider_error", "provider_call"), False),
        (400, ("validation_error", "validation"), False),
        (400, ("validation_error", "provider_call"), False),
    ],
)
def test_the_error_rate_excludes_what_the_client_did_and_429(
    status: int,
    error: tuple[Any, Any] | None,
    counts: bool,
) -> None:
    assert is_error(but(STREAMED, http_status=status, error=error)) is counts


FAILED = but(STREAMED, outcome="failure", error=("provider_error", "streaming"))
NO_ROOM = but(TURNED_AWAY, http_status=503, error=("connection_pool_exhausted", "admission"))
INVALID = but(TURNED_AWAY, error=("validation_error", "validation"))


def window(*reports: RequestReport, now: float = 1000.0) -> Window:
    full = Window()
    full.begin(0.0)
    for report in reports:
        full.add(now, report)
    return full


def test_an_empty_window_has_rates_of_zero() -> None:
    assert Window().rates(5.0) == Rates(0.0, 0.0)


def test_the_rates_are_over_the_last_minute() -> None:
    counted = window(*[STREAMED] * 90, *[FAILED] * 30)
    assert counted.rates(1000.9) == Rates(2.0, 25.0)
    assert counted.rates(1059.9) == Rates(2.0, 25.0)
    assert counted.rates(1060.0) == Rates(0.0, 0.0)


def test_a_young_service_divides_by_its_age() -> None:
    young = Window()
    young.begin(100.0)
    young.begin(109.0)
    for _ in range(20):
        young.add(105.0, STREAMED)
    assert young.rates(110.0) == Rates(2.0, 0.0)


def test_an_invalid_request_moves_no_rate() -> None:
    assert window(INVALID).rates(1000.0) == Rates(0.0, 0.0)


def test_a_request_turned_away_for_lack_of_room_is_an_error_but_no_request() -> None:
    assert window(NO_ROOM).rates(1000.0) == Rates(0.0, 100.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 200), st.sampled_from([STREAMED, FAILED, NO_ROOM, INVALID])),
        max_size=40,
    ).map(lambda events: sorted(events, key=lambda event: event[0]))
)
def test_the_window_reads_as_if_it_kept_every_request(
    events: list[tuple[float, RequestReport]],
) -> None:
    kept = window()
    for now, report in events:
        kept.add(now, report)
    now = 200.0
    inside = [report for at, report in events if int(at) > now - 60]
    judged = [report for report in inside if report.outcome is not None or report is NO_ROOM]
    errors = [report for report in inside if report in (FAILED, NO_ROOM)]
    requests = sum(report.outcome is not None for report in inside)
    rate = 100.0 * len(errors) / len(judged) if judged else 0.0
    assert kept.rates(now) == Rates(requests / 60, rate)
