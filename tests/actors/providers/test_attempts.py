"""What comes after a failed call: every rule of `attempts`, by itself. Pure."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.actors.failures import Failure, UpstreamFault
from sluice.actors.providers.attempts import (
    MOST_CALLS,
    REASONS,
    Fallback,
    GiveUp,
    History,
    Hope,
    Retry,
    Step,
    chain_of,
    judge,
    next_step,
)
from sluice.actors.providers.upstream_failures import (
    broken,
    internal,
    no_end_marker,
    refused,
    too_large,
    too_slow,
    wrong_content_type,
)
from sluice.actors.settings import ModelSettings, RetrySettings, Routing

SETTINGS = RetrySettings(attempts=2, backoff=0.5, max_wait=4.0, budget=30.0)


def coded(code: str, status: int = 400) -> Failure:
    return refused(status, None, b'{"error": {"message": "no", "code": "%b"}}' % code.encode())


def model(name: str, provider: str = "", context: int | None = None) -> ModelSettings:
    return ModelSettings(name, provider or f"of-{name}", context=context)


def breaker_open() -> Failure:
    return Failure(
        "provider_error", "provider_call", "Open.", status=503, code="breaker_open", retry_after=9
    )


def untranslatable() -> Failure:
    return Failure("validation_error", "validation", "No.", status=400, code="untranslatable")


def history(*models: ModelSettings) -> History:
    return History(models or (model("a"), model("b")), began=100.0)


def after(at: History, failure: Failure, *, now: float = 100.0, chance: float = 0.5) -> Step:
    return next_step(at, failure, SETTINGS, now=now, chance=chance)


UNAVAILABLE = [
    refused(429, None, b""),
    refused(503, None, b""),
    refused(500, None, b""),
    refused(529, None, b""),
    broken(UpstreamFault("reset")),
    broken(UpstreamFault("cut")),
    no_end_marker(),
]
SILENT = [too_slow(what) for what in ("connect", "first_chunk", "idle", "total")]
HOPELESS = [
    *SILENT,
    refused(401, None, b""),
    refused(403, None, b""),
    refused(404, None, b""),
    refused(302, None, b""),
    broken(UpstreamFault("tls")),
    broken(UpstreamFault("protocol")),
    wrong_content_type(),
    too_large(),
    breaker_open(),
]
FINAL = [coded("content_policy_violation"), coded("content_filter"), internal("provider_call")]
CLIENTS = [refused(status, None, b"") for status in (400, 409, 413, 415, 422)] + [untranslatable()]
ALL = [*UNAVAILABLE, *HOPELESS, *FINAL, *CLIENTS, coded("context_length_exceeded")]


@pytest.mark.parametrize("failure", UNAVAILABLE, ids=repr)
def test_what_may_get_better_is_asked_again_twice_and_then_the_fallback_is(
    failure: Failure,
) -> None:
    at = history()
    first, second, third = (after(at, failure) for _ in range(3))
    assert isinstance(first, Retry)
    assert isinstance(second, Retry)
    assert isinstance(third, Fallback)
    assert (first.after, second.after) == (0.25, 0.5)
    assert third.model.name == "b"


@pytest.mark.parametrize("failure", HOPELESS, ids=repr)
def test_what_will_not_get_better_goes_to_the_fallback_at_once(failure: Failure) -> None:
    step = after(history(), failure)
    assert isinstance(step, Fallback)
    assert step.model.name == "b"
    alone = after(history(model("a")), failure)
    assert alone == GiveUp(failure, model("a"))


@pytest.mark.parametrize("failure", FINAL + CLIENTS, ids=repr)
def test_what_is_final_or_the_clients_own_is_told_at_once(failure: Failure) -> None:
    assert after(history(), failure) == GiveUp(failure, model("a"))


@pytest.mark.parametrize("failure", CLIENTS, ids=repr)
def test_a_fallback_that_does_not_take_the_request_is_passed_by(failure: Failure) -> None:
    at = history(model("a"), model("b"), model("c"))
    silent = too_slow("first_chunk")
    after(at, silent)
    step = after(at, failure)
    assert isinstance(step, Fallback)
    assert step.model.name == "c"
    assert after(at, failure) == GiveUp(silent, model("a"))


@pytest.mark.parametrize("failure", FINAL, ids=repr)
def test_what_is_final_at_a_fallback_is_told_as_the_fallbacks(failure: Failure) -> None:
    at = history()
    after(at, too_slow("first_chunk"))
    assert after(at, failure) == GiveUp(failure, model("b"))


def test_when_all_fail_the_client_is_told_what_the_model_it_asked_for_said_last() -> None:
    at = history()
    first, last = refused(503, None, b""), refused(429, 2.0, b"")
    after(at, first)
    assert isinstance(after(at, last), Fallback)
    assert after(at, too_slow("first_chunk")) == GiveUp(last, model("a"))


# -- Retry-After -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503, 500])
def test_alone_a_provider_gets_the_time_it_asks_for_up_to_the_bound(status: int) -> None:
    step = after(history(model("a")), refused(status, 3.0, b""))
    assert isinstance(step, Retry)
    assert step.after == 3.25
    longest = after(history(model("a")), refused(status, 4.0, b""), chance=1.0)
    assert isinstance(longest, Retry)
    assert longest.after == SETTINGS.max_wait
    assert isinstance(after(history(model("a")), refused(status, 4.5, b"")), GiveUp)


def test_a_longer_wait_than_the_backoff_makes_the_fallback_sooner() -> None:
    assert isinstance(after(history(), refused(429, 1.0, b"")), Fallback)
    assert isinstance(after(history(), refused(429, 0.4, b"")), Retry)


def test_no_fallback_is_sooner_that_would_not_be_called_for_its_breaker_is_open() -> None:
    opened = {"b"}
    at = History((model("a"), model("b"), model("c")), 100.0, lambda each: each.name in opened)
    assert isinstance(after(at, refused(429, 1.0, b"")), Fallback)
    opened.add("c")
    at = History(at.chain, at.began, at.blocked)
    assert after(at, refused(429, 1.0, b"")) == Retry(1.25, "rate_limited")
    assert isinstance(after(at, refused(429, SETTINGS.max_wait + 1, b"")), Fallback)


# -- the chain ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        refused(401, None, b""),
        too_slow("connect"),
        broken(UpstreamFault("refused")),
        broken(UpstreamFault("tls")),
    ],
    ids=repr,
)
def test_what_a_provider_fails_with_as_a_whole_its_other_models_would_fail_with(
    failure: Failure,
) -> None:
    at = history(model("a", "p"), model("b", "p"), model("c", "q"))
    at.tries = SETTINGS.attempts + 1
    step = after(at, failure)
    assert isinstance(step, Fallback)
    assert step.model.name == "c"


def test_a_model_that_is_not_there_does_not_stop_its_providers_others() -> None:
    at = history(model("a", "p"), model("b", "p"))
    assert isinstance(after(at, refused(404, None, b"")), Fallback)


@pytest.mark.parametrize("own", [None, 8192])
def test_too_long_a_prompt_goes_to_models_that_are_declared_larger_only(own: int | None) -> None:
    too_long = coded("context_length_exceeded")
    models = [
        model("a", context=own),
        model("undeclared"),
        model("small", context=own),
        model("large", context=32_000),
        model("also-small", context=own),
        model("larger", context=200_000),
        model("no-larger", context=32_000),
    ]
    at = history(*models)
    step = after(at, too_long)
    assert isinstance(step, Fallback)
    assert step.model.name == "large"
    step = after(at, too_long)
    assert isinstance(step, Fallback)
    assert step.model.name == "larger"
    assert after(at, too_long) == GiveUp(too_long, models[0])


def test_a_prompt_is_called_too_long_only_if_no_larger_model_failed_for_another_reason() -> None:
    too_long, slow = coded("context_length_exceeded"), too_slow("first_chunk")
    larger = model("larger", context=9)
    at = history(model("a"), larger, model("smaller", context=8))
    after(at, too_long)
    assert isinstance(after(at, slow), Fallback)
    assert after(at, untranslatable()) == GiveUp(slow, larger)


def test_a_chain_has_the_fallbacks_of_fallbacks_and_each_model_once() -> None:
    routing = Routing(
        {},
        {
            "a": ModelSettings("a", "p", fallback=("b", "c")),
            "b": ModelSettings("b", "p", "upstream-b", fallback=("a", "d")),
            "c": ModelSettings("c", "p", fallback=("b", "sim-x")),
            "d": ModelSettings("d", "p", fallback=("gone",)),
            "sim-*": ModelSettings("sim-*", "q", fallback=("sim-x", "sim-y")),
        },
    )
    chain = chain_of(routing.models["a"], routing)
    asked = [(each.name, each.upstream_model) for each in chain]
    assert asked == [
        ("a", None), ("b", "upstream-b"), ("c", "c"), ("d", "d"), ("sim-*", "sim-x"),
        ("sim-*", "sim-y"),
    ]  # fmt: skip
    first = routing.find("sim-y")
    assert first is not None
    assert [each.upstream_model for each in chain_of(first, routing)] == ["sim-y", "sim-x"]


def test_a_chain_is_bounded_however_many_models_there_are() -> None:
    models = {str(n): ModelSettings(str(n), "p", fallback=(str(n + 1),)) for n in range(99)}
    assert len(chain_of(models["0"], Routing({}, models))) == MOST_CALLS


# -- bounds ------------------------------------------------------------------------------------


def test_no_call_begins_after_the_budget() -> None:
    assert isinstance(after(history(), refused(500, None, b""), now=129.9), Fallback)
    assert isinstance(after(history(), too_slow("first_chunk"), now=129.9), Fallback)
    for failure in (refused(500, None, b""), too_slow("first_chunk")):
        assert isinstance(after(history(), failure, now=130.0), GiveUp)


def test_every_failure_is_judged_and_its_reason_is_a_label() -> None:
    for failure in ALL:
        reason, hope = judge(failure)
        assert hope in get_args(Hope)
        assert reason in REASONS or hope == "none"


settings = st.builds(
    RetrySettings,
    attempts=st.integers(0, 10),
    backoff=st.floats(0, 60),
    max_wait=st.floats(0, 3600),
    budget=st.floats(0, 3600),
)
models = st.builds(
    ModelSettings,
    name=st.text("ab", min_size=1, max_size=3),
    provider=st.sampled_from("pqr"),
    context=st.none() | st.integers(1, 4),
)


@given(
    settings,
    st.lists(models, min_size=1, max_size=MOST_CALLS),
    st.integers(0, 2**32),
    st.floats(0, 100) | st.none(),
)
def test_whatever_fails_the_asking_ends_within_its_bounds(
    retries: RetrySettings,
    chain: list[ModelSettings],
    seed: int,
    asked_for: float | None,
) -> None:
    at = History(chain, began=0.0)
    now, tries, calls, asked = 0.0, 1, 1, 0
    by_chance = random.Random(seed)  # noqa: S311 -- it decides what is tried
    for _ in range(300):
        failure = by_chance.choice(ALL)
        failure.retry_after = asked_for
        now += by_chance.random() * retries.budget / 10
        step = next_step(at, failure, retries, now=now, chance=by_chance.random())
        if isinstance(step, GiveUp):
            assert step.failure.code
            assert step.model in chain
            break
        calls += 1
        if isinstance(step, Retry):
            tries += 1
            assert 0 <= step.after <= retries.max_wait
            assert step.after >= (asked_for or 0)
            now += step.after
        else:
            assert at.at > asked
            tries, asked = 1, at.at
            assert step.model is chain[asked]
        assert now <= retries.budget + 1e-6
        assert tries <= retries.attempts + 1
        assert calls <= MOST_CALLS
    else:
        pytest.fail("it never gives up")
