"""Streams that break off in the middle: whole if anybody could give the rest, honest if not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer
from tests.service.operators_world import total
from tests.service.raw_provider import DONE, END, HEAD, coded, said
from tests.service.telling import events_of, outcome_of, text_of
from tests.service.world import World, open_world, post

from sluice.actors.settings import ModelSettings, RescueSettings

SAME = "?same=1&chunks=30"
OK = "sim-ok" + SAME

FAULTS = {
    "sim-cut": "provider_cut",
    "sim-cut-inside": "provider_cut",
    "sim-cut-reset": "provider_reset",
    "sim-stall": "idle_timeout",
    "sim-garbage": "malformed_chunk",
    "sim-huge-frame": "provider_frame_too_large",
    "sim-error-in-stream": "provider_error_in_stream",
    "sim-no-end": "provider_no_end",
}


def failing(model: str, *, same: bool = True) -> str:
    """The model's name with its options; event by event, so that what comes before is had."""
    return f"{model}{SAME if same else '?chunks=30'}&write_each=1"


def chained(fallbacks: dict[str, list[str]], prefills: tuple[str, ...] = ()) -> list[ModelSettings]:
    """Models of the simulator's: each with its fallbacks, and those that take a prefill."""
    names = dict.fromkeys([*fallbacks, *prefills])
    return [
        ModelSettings(
            name,
            "simulator",
            fallback=tuple(fallbacks.get(name, ())),
            prefill=name in prefills,
        )
        for name in names
    ]


def check_unbroken(answer: Answer) -> None:
    """What one provider would have said: one of each, but for the ends of its text."""
    assert outcome_of(answer) == "whole", answer
    chunks: list[Any] = [event.json for event in events_of(answer) if event.data != "[DONE]"]
    for key in ("id", "model", "created", "object"):
        assert len({chunk[key] for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [bool(choice["delta"].get("role")) for choice in choices].count(True) == 1
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]


async def rescues(world: World, result: str) -> float:
    await world.has_counted()
    return total(await world.samples(), "sse_rescues_total", result=result)


async def test_whatever_breaks_a_stream_the_same_answer_of_a_fallback_makes_it_whole() -> None:
    async with open_world(
        models=chained({failing(each): [OK] for each in FAULTS}), idle=1
    ) as world:
        wanted = text_of(await world.ask(OK))
        for model in FAULTS:
            answer = await world.ask(failing(model))
            check_unbroken(answer)
            assert text_of(answer) == wanted, model
        assert await rescues(world, "completed") == 1  # of sim-no-end
        assert await rescues(world, "restarted") == len(FAULTS) - 1


async def test_whatever_breaks_a_stream_another_answer_of_a_fallback_is_not_put_behind_it() -> None:
    models = {failing(each, same=False): code for each, code in FAULTS.items()}
    del models[failing("sim-no-end", same=False)]  # which lacks nothing
    others = {each: ["sim-ok?chunks=30"] for each in models}
    async with open_world(models=chained(others), idle=1) as world:
        for model, code in models.items():
            answer = await world.ask(model)
            assert outcome_of(answer) == code
            assert text_of(answer)
        assert await rescues(world, "differed") == len(models)
        assert world.simulator.statistics.requests == 2 * len(models)


async def test_a_fallback_that_takes_a_prefill_writes_the_rest_and_asks_for_nothing_else() -> None:
    name = failing("sim-cut")
    other = "sim-ok-b" + SAME
    async with open_world(models=chained({name: [other]}, (other,))) as world:
        wanted = text_of(await world.ask(OK))
        answer = await world.ask(name)
        check_unbroken(answer)
        assert text_of(answer) == wanted
        body = msgspec.json.decode(world.simulator.requests[-1].body)
        assert [message["role"] for message in body["messages"]] == ["user", "assistant"]
        begun = body["messages"][1]["content"]
        assert wanted.startswith(begun)
        assert begun == begun.rstrip()
        assert await rescues(world, "continued") == 1


@pytest.mark.parametrize("same", [True, False], ids=["the same answer", "another answer"])
async def test_a_prefill_that_a_fallback_rejects_never_becomes_the_clients_error(
    *, same: bool
) -> None:
    name = failing("sim-cut", same=same)
    other = "sim-no-prefill" + (SAME if same else "?chunks=30")
    async with open_world(models=chained({name: [other]}, (other,))) as world:
        answer = await world.ask(name)
        assert outcome_of(answer) == ("whole" if same else "provider_cut")
        assert world.simulator.statistics.requests == 3
        samples = await world.samples()
        assert total(samples, "sse_errors_total") == (0 if same else 1)


async def test_who_finished_it_stands_in_the_metrics_the_log_and_the_usage() -> None:
    name = failing("sim-cut-reset")
    async with open_world(models=chained({name: ["nobody", OK], OK: []})) as world:
        answer = await world.ask(name, stream_options={"include_usage": True})
        check_unbroken(answer)
        usage = events_of(answer)[-2].json["usage"]
        assert usage["finished_by"] == {"provider": "simulator", "model": OK}
        await world.has_counted()
        samples = await world.samples()
        assert total(samples, "sse_requests_total", status="success", model=OK) == 1
        assert total(samples, "sse_requests_total") == 1
        assert total(samples, "sse_provider_requests_total", status="failure") == 2
        assert total(samples, "sse_provider_requests_total", status="success") == 1
        assert total(samples, "sse_errors_total") == 0


async def test_a_rescue_can_be_switched_off() -> None:
    name = failing("sim-cut")
    off = RescueSettings(enabled=False)
    async with open_world(models=chained({name: [OK]}), rescue=off) as world:
        assert outcome_of(await world.ask(name)) == "provider_cut"
        assert world.simulator.statistics.requests == 1


async def test_a_tool_call_is_never_put_together_from_two() -> None:
    name = failing("sim-cut") + "&tool_calls=1"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    async with open_world(models=chained({name: [OK + "&tool_calls=1"]})) as world:
        assert outcome_of(await world.ask(name, tools=[tool])) == "provider_cut"
        assert world.simulator.statistics.requests == 1
        assert await rescues(world, "impossible") == 1


async def test_our_own_events_are_unbroken_too() -> None:
    name = failing("sim-cut")
    async with open_world(models=chained({name: [OK]})) as world:
        wanted = text_of(await world.ask(OK))
        asked = msgspec.json.encode({"model": name, "prompt": "hello"})
        answer = await world.send(post("/stream", asked, "Connection: close"))
        assert outcome_of(answer) == "whole"
        events = events_of(answer)
        assert "".join(e.json["text"] for e in events if e.name == "message") == wanted
        assert [e.name for e in events if e.name != "message"] == ["usage", "done"]
        assert events[-1].json == {"finish_reason": "stop"}


async def test_a_malformed_frame_alone_is_left_out_and_counted() -> None:
    async with open_world() as world:
        bad = coded(b"data: {no\n\n")
        world.raw.answers_and_closes(HEAD, coded(said("a")), bad, coded(said("b") + DONE), END)
        answer = await world.ask("raw")
        assert (outcome_of(answer), text_of(answer)) == ("whole", "ab")
        await world.has_counted()
        assert total(await world.samples(), "sse_malformed_frames_total", provider="raw") == 1


async def test_many_streams_that_break_at_once_are_all_whole_and_leave_nothing() -> None:
    name = failing("sim-cut")
    async with open_world(models=chained({name: [OK]})) as world:
        wanted = text_of(await world.ask(OK))

        async def ask() -> None:
            assert text_of(await world.ask(name)) == wanted

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)


ANTHROPIC = {"max_tokens": 500}
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {}),
    "anthropic": ("/v1/messages", ANTHROPIC),
    "cohere": ("/v2/chat", {}),
}


async def ask_in(world: World, client: str, model: str) -> list[Any]:
    """The data of the events that a client of this format gets, of an answer that is whole."""
    path, fields = ROUTES[client]
    messages = [{"role": "user", "content": "hello"}]
    body = msgspec.json.encode({"model": model, "messages": messages, "stream": True, **fields})
    raw = await world.connect()
    await raw.send(post(path, body, "Connection: close"))
    answer = await raw.answer()
    await raw.leave()
    assert (answer.status, answer.complete) == (200, True), answer
    world.expected.update(["success"])
    return [event.json for event in events_of(answer) if event.data != "[DONE]"]


def text_in(client: str, events: list[Any]) -> str:
    if client == "openai":
        deltas = [choice["delta"] for each in events for choice in each["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)
    if client == "anthropic":
        deltas = [each["delta"] for each in events if each["type"] == "content_block_delta"]
        return "".join(delta["text"] for delta in deltas)
    deltas = [each["delta"]["message"] for each in events if each["type"] == "content-delta"]
    return "".join(delta["content"]["text"] for delta in deltas)


def kinds(events: list[Any]) -> list[str]:
    """The types of the events, each run of one kind once."""
    found: list[str] = []
    for each in events:
        kind = each.get("type", each.get("object"))
        if kind != "ping" and [kind] != found[-1:]:
            found.append(kind)
    return found


@pytest.mark.parametrize("provider_format", ROUTES)
async def test_clients_of_each_format_get_one_whole_answer_from_providers_of_each(
    provider_format: str,
) -> None:
    faults = ["sim-cut", "sim-garbage", "sim-error-in-stream", "sim-no-end"]
    models = [failing(each) for each in faults]
    other = "sim-ok-b" + SAME
    async with open_world(
        provider_format=provider_format,
        models=chained({each: [OK] for each in models} | {failing("sim-cut-b"): [other]}, (other,)),
    ) as world:
        for client in ROUTES:
            wanted = await ask_in(world, client, OK)
            for model in [*models, failing("sim-cut-b")]:
                events = await ask_in(world, client, model)
                assert text_in(client, events) == text_in(client, wanted), (client, model)
                assert kinds(events) == kinds(wanted), (client, model)
        assert await rescues(world, "continued") == len(ROUTES)
