"""Providers that fail before their first byte, and the answers that their clients get all the same.

A client gets the whole answer wherever any configured model gives it, and the model that failed
is not hammered: its attempts are counted, by the simulator or by the test's own provider. Every
wait is scaled down by configuration. What fails after the first byte is not for here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate

import pytest
import trio
from tests.http.edge_world import Answer
from tests.service.operators_world import total, until
from tests.service.raw_provider import DONE, END, HEAD, Caller, coded, said
from tests.service.telling import events_of, outcome_of, text_of
from tests.service.world import World, open_world

from sluice.actors.settings import ModelSettings, RetrySettings, Timeouts

RETRIES = RetrySettings(attempts=2, backoff=0.02, max_wait=0.5, budget=20.0)
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
SOON = Timeouts(connect=0.25, first_chunk=0.25, total=0.5)
"""For models that say nothing. Others have all the time that a busy machine takes."""
WELL = HEAD + coded(said("hello") + DONE) + END


def with_fallback(
    name: str, *fallback: str, provider: str = "simulator", context: int | None = None
) -> ModelSettings:
    silent = name in {"sim-silent", "nobody", "deaf"} or "first_delay" in name
    timeouts = SOON if silent else Timeouts()
    return ModelSettings(name, provider, timeouts=timeouts, fallback=fallback, context=context)


def refusal(status: int, *headers: str) -> bytes:
    """A provider's error without a body."""
    lines = [f"HTTP/1.1 {status} No", "Content-Length: 0", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def answers_in_turn(world: World, answers: Sequence[bytes]) -> list[float]:
    """Have the raw provider give these, the last for ever; when it was asked is in the list."""
    asked: list[float] = []

    async def serve(caller: Caller) -> None:
        while await caller.request() is not None:
            asked.append(trio.current_time())
            await caller.say(answers[min(len(asked), len(answers)) - 1])

    world.raw.serve = serve
    return asked


def asked(world: World, model: str) -> int:
    return world.simulator.statistics.by_model.get(model, 0)


def is_whole(answer: Answer) -> bool:
    return answer.status == 200 and outcome_of(answer) == "whole" and bool(text_of(answer))


# -- the table of faults -----------------------------------------------------------------------

TABLE = [
    ("sim-429", 3),
    ("sim-429-retry-after", 1),
    ("sim-500", 3),
    ("sim-503", 3),
    ("sim-529", 3),
    ("sim-reset", 3),
    ("sim-refuse", 3),
    ("sim-silent", 1),
    ("sim-slow-first-chunk?first_delay=3600", 1),
    ("sim-slow-first-chunk?first_delay=3600&pings=0.05", 1),
    ("sim-html", 1),
    ("sim-redirect", 1),
    ("sim-404", 1),
    ("sim-context-length", 1),
]
"""Models with how often they are asked before their fallback is."""


@pytest.mark.parametrize(("model", "times"), TABLE, ids=[model for model, _ in TABLE])
async def test_whatever_fails_before_its_first_byte_is_served_whole_by_the_fallback(
    model: str, times: int
) -> None:
    models = [with_fallback(model, "sim-ok"), with_fallback("sim-ok", context=200_000)]
    # A whole answer has no first chunk: of its silence, only `total` tells.
    async with open_world(retries=RETRIES, models=models) as world:
        answer = await world.ask(model)
        assert is_whole(answer)
        assert answer.headers["x-model"] == "sim-ok"
        assert asked(world, model) == times
        assert asked(world, "sim-ok") == 1
        assert is_whole(await world.ask(model, stream=False))


@STREAMED
async def test_a_500_once_is_asked_again_and_needs_no_fallback(*, stream: bool) -> None:
    models = [with_fallback("sim-500-once", "sim-ok")]
    async with open_world(retries=RETRIES, models=models) as world:
        assert is_whole(await world.ask("sim-500-once", stream=stream))
        assert asked(world, "sim-500-once") == 2
        assert asked(world, "sim-ok") == 0


@pytest.mark.parametrize(
    ("model", "status", "code", "times"),
    [
        ("sim-503", 503, "provider_unavailable", 3),
        ("sim-429", 429, "provider_rate_limited", 3),
        ("sim-429-retry-after?retry_after=7", 429, "provider_rate_limited", 1),
        ("sim-500", 502, "provider_status", 3),
        ("sim-silent", 504, "first_chunk_timeout", 1),
        ("sim-401", 502, "provider_credentials", 1),
        ("sim-404", 404, "model_not_found", 1),
        ("sim-context-length", 400, "context_length_exceeded", 1),
    ],
)
async def test_without_a_fallback_that_serves_one_clear_error_says_what_the_model_asked_for_said(
    model: str, status: int, code: str, times: int
) -> None:
    async with open_world(retries=RETRIES, models=[with_fallback(model)]) as world:
        answer = await world.ask(model)
        assert (answer.status, outcome_of(answer)) == (status, code)
        assert asked(world, model) == times
        if status == 429:
            assert answer.headers["retry-after"] == ("7" if times == 1 else "1")


@STREAMED
async def test_a_content_policys_refusal_is_passed_on_with_its_reason(*, stream: bool) -> None:
    models = [with_fallback("sim-content-policy", "sim-ok")]
    async with open_world(retries=RETRIES, models=models) as world:
        answer = await world.ask("sim-content-policy", stream=stream)
        assert (answer.status, outcome_of(answer)) == (400, "content_policy_violation")
        assert b"safety system" in answer.body
        assert asked(world, "sim-content-policy") == 1
        assert asked(world, "sim-ok") == 0


async def test_too_long_a_prompt_goes_to_a_fallback_that_is_declared_larger_only() -> None:
    models = [
        with_fallback("sim-context-length", "sim-ok", "sim-ok-b", "sim-ok-c", context=8192),
        with_fallback("sim-ok-b", context=8192),
        with_fallback("sim-ok-c", context=8193),
    ]
    async with open_world(retries=RETRIES, models=models) as world:
        assert is_whole(await world.ask("sim-context-length"))
        assert [asked(world, name) for name in ("sim-ok", "sim-ok-b", "sim-ok-c")] == [0, 0, 1]


async def test_our_credentials_are_not_tried_twice_at_the_same_provider() -> None:
    models = [
        with_fallback("sim-401", "sim-ok", "raw"),
        with_fallback("raw", provider="raw"),
    ]
    async with open_world(retries=RETRIES, models=models) as world:
        world.raw.answers(WELL)
        answer = await world.ask("sim-401")
        assert is_whole(answer)
        assert answer.headers["x-provider"] == "raw"
        assert world.simulator.statistics.requests == 1


@pytest.mark.parametrize("model", ["nobody", "deaf"])
async def test_a_provider_that_cannot_be_reached_is_replaced(model: str) -> None:
    models = [with_fallback(model, "sim-ok", provider=model)]
    async with open_world(retries=RETRIES, models=models) as world:
        assert is_whole(await world.ask(model))


async def test_every_model_of_the_chain_is_asked_until_one_serves() -> None:
    chain = ["sim-503", "sim-500", "sim-silent", "sim-404", "sim-ok"]
    models = [with_fallback(chain[0], *chain[1:]), with_fallback("sim-silent")]
    async with open_world(retries=RETRIES, models=models) as world:
        assert is_whole(await world.ask("sim-503"))
        assert [asked(world, model) for model in chain] == [3, 3, 1, 1, 1]


async def test_models_that_are_each_others_fallback_are_asked_once_around() -> None:
    models = [with_fallback("sim-503", "sim-500"), with_fallback("sim-500", "sim-503")]
    async with open_world(retries=RETRIES, models=models) as world:
        assert outcome_of(await world.ask("sim-503")) == "provider_unavailable"
        assert world.simulator.statistics.requests == 6


# -- Retry-After -------------------------------------------------------------------------------


async def test_a_provider_is_given_the_time_that_it_asks_for() -> None:
    async with open_world(retries=RETRIES) as world:
        times = answers_in_turn(world, [refusal(429, "Retry-After: 0.3"), WELL])
        assert is_whole(await world.ask("raw"))
        assert len(times) == 2
        assert times[1] - times[0] >= 0.3


@pytest.mark.parametrize(("seconds", "served"), [(3600, "simulator"), (-3600, "raw")])
async def test_a_date_is_waited_for_unless_the_fallback_is_sooner(
    seconds: float, served: str
) -> None:
    models = [with_fallback("raw", "sim-ok", provider="raw")]
    async with open_world(retries=RETRIES, models=models) as world:
        date = formatdate(time.time() + seconds, usegmt=True)
        times = answers_in_turn(world, [refusal(503, f"Retry-After: {date}"), WELL])
        answer = await world.ask("raw")
        assert is_whole(answer)
        assert answer.headers["x-provider"] == served
        assert len(times) == (1 if served == "simulator" else 2)


# -- an outage ---------------------------------------------------------------------------------


async def test_a_primary_that_is_down_for_a_while_costs_no_answer_and_is_used_again_after_it() -> (
    None
):
    models = [with_fallback("raw", "sim-ok", provider="raw")]
    async with open_world(retries=RETRIES, models=models) as world:
        times = answers_in_turn(world, [WELL, *[refusal(503)] * 12, WELL])
        served = []
        for _ in range(6):
            answer = await world.ask("raw")
            assert is_whole(answer)
            served.append(answer.headers["x-provider"])
        assert served == ["raw", *["simulator"] * 4, "raw"]
        assert len(times) == 1 + 4 * 3 + 1


# -- accounting --------------------------------------------------------------------------------


async def test_after_a_fallback_everything_is_counted_where_it_happened_and_nothing_twice() -> None:
    models = [with_fallback("raw", "sim-ok?chunks=9", provider="raw")]
    async with open_world(retries=RETRIES, models=models) as world:
        opened = HEAD + coded(b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n')
        answers_in_turn(world, [opened + coded(b"data: nonsense\n\n") + END])
        answer = await world.ask("raw", stream_options={"include_usage": True})
        assert is_whole(answer)
        usages = [event.json for event in events_of(answer)[:-1] if event.json.get("usage")]
        assert [each["usage"]["completion_tokens"] for each in usages] == [9]
        await world.has_counted()
        samples = await world.samples()

        def value(name: str, **labels: str) -> float:
            return total(samples, name, **labels)

        served = {"provider": "simulator", "model": "sim-*"}
        assert value("sse_requests_total") == value("sse_requests_total", **served) == 1
        assert value("sse_errors_total") == 0
        calls = "sse_provider_requests_total"
        assert value(calls, provider="raw", status="failure") == 3
        assert value(calls, provider="simulator", status="success") == value(calls) - 3 == 1
        assert value("sse_retries_total", provider="raw", reason="broken_answer") == 2
        assert value("sse_fallbacks_total", provider="raw", reason="broken_answer") == 1
        assert value("sse_chunks_streamed_total", provider="raw") == 0
        assert value("sse_chunks_streamed_total") == len(events_of(answer)) - 1


async def test_when_nobody_serves_the_request_counts_under_the_model_asked_for() -> None:
    models = [with_fallback("raw", "sim-503", provider="raw")]
    async with open_world(retries=RETRIES, models=models) as world:
        answers_in_turn(world, [refusal(401)])
        answer = await world.ask("raw")
        assert (answer.status, outcome_of(answer)) == (502, "provider_credentials")
        assert answer.headers["x-provider"] == "raw"
        await world.has_counted()
        samples = await world.samples()
        assert total(samples, "sse_requests_total", provider="raw", model="raw") == 1
        assert total(samples, "sse_requests_total") == total(samples, "sse_errors_total") == 1


# -- waits and their ends ----------------------------------------------------------------------

PATIENT = RetrySettings(attempts=2, backoff=0.0, max_wait=3600.0, budget=3600.0)


@STREAMED
async def test_a_client_that_leaves_while_a_provider_is_waited_for_frees_its_slot(
    *, stream: bool
) -> None:
    async with open_world(retries=PATIENT) as world:
        times = answers_in_turn(world, [refusal(429, "Retry-After: 3000")])
        client = await world.begin("raw", stream=stream)
        await world.slots_are(1)
        await until(lambda: bool(times))
        await client.leave()
        world.expected.update(["success", "before_first_chunk left"])
        await world.slots_are(0)
        assert len(times) == 1


async def test_a_client_in_a_wait_has_company_and_an_end_of_the_service_is_told_to_it() -> None:
    async with open_world(retries=PATIENT, heartbeat=0.05, drain=0.0) as world:
        answers_in_turn(world, [refusal(429, "Retry-After: 3000")])
        client = await world.begin("raw")
        while client.buffer.count(b": hb\n") < 3:
            client.buffer += await client.more()
        async with world.ending():
            answer = await world.read(client)
        assert (answer.status, outcome_of(answer)) == (200, "stopping")


async def test_an_answer_after_heartbeats_and_retries_is_one_unbroken_stream() -> None:
    models = [with_fallback("sim-503?head_delay=0.1", "sim-ok")]
    async with open_world(retries=RETRIES, models=models, heartbeat=0.03) as world:
        answer = await world.ask("sim-503?head_delay=0.1")
        assert is_whole(answer)
        before, _, _ = answer.body.partition(b"id: ")
        assert before == b": hb\n" * before.count(b": hb\n")
        assert before.count(b": hb\n") >= 3
