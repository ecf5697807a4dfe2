"""Answers that come through: what a correct provider says, its client gets, all of it, as it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from tests.http.edge_world import Answer
from tests.service.raw_provider import DONE, END, HEAD, Caller, coded, said
from tests.service.telling import events_of, outcome_of, text_of
from tests.service.world import World, open_world

SAME = "chunks=12&same=1&reasoning=3"
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    """The data of every event but the end marker."""
    return [event.json for event in events_of(answer) if event.data != "[DONE]"]


def told(answer: Answer) -> list[Any]:
    """What the chunks say, without what is another in every answer."""
    return [
        {name: value for name, value in chunk.items() if name in {"choices", "usage", "object"}}
        for chunk in chunks_of(answer)
    ]


async def whole(world: World, model: str, **fields: Any) -> Answer:
    answer = await world.ask(model, **fields)
    assert outcome_of(answer) == "whole"
    return answer


# -- however it is sent ------------------------------------------------------------------------

ODD = [
    "sim-trickle",
    "sim-crlf",
    "sim-cr",
    "sim-comments",
    "sim-bom",
    "sim-multiline",
    "sim-ids",
]


@pytest.mark.parametrize("pace", ["", "&write_each=1"], ids=["at once", "event by event"])
@pytest.mark.parametrize("model", ODD)
async def test_a_correct_stream_in_an_odd_dress_comes_out_as_the_same_events(
    model: str, pace: str
) -> None:
    async with open_world() as world:
        plain = await whole(world, f"sim-ok?{SAME}")
        odd = await whole(world, f"{model}?{SAME}{pace}")
        assert told(odd) == told(plain)
        assert len(text_of(odd).split()) == 12


async def test_a_providers_own_ids_and_retries_do_not_reach_the_client() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-ids")
        assert b"retry:" not in answer.body
        assert b"id: 7\n" not in answer.body


async def test_an_end_marker_without_its_blank_line_is_no_end() -> None:
    async with open_world() as world:
        assert outcome_of(await world.ask("sim-no-blank-line")) == "provider_no_end"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_text_of_any_script_survives_any_split_of_its_bytes(size: int) -> None:
    text = 'Ünïcödé — 漢字 🦊 \\ " \u2028 \t é'
    quoted = msgspec.json.encode(text).decode()[1:-1]
    body = said(quoted) + DONE
    async with open_world() as world:
        parts = [coded(body[at : at + size]) for at in range(0, len(body), size)]

        async def serve(caller: Caller) -> None:
            await caller.request()
            await caller.say(HEAD)
            for part in parts:
                await caller.say(part)
                await trio.lowlevel.checkpoint()
            await caller.say(END)

        world.raw.serve = serve
        assert text_of(await whole(world, "raw")) == text


async def test_a_head_and_a_body_of_one_byte_at_a_time_are_read() -> None:
    async with open_world() as world:
        data = HEAD + coded(said("hi") + DONE) + END
        world.raw.answers_and_closes(*[bytes([byte]) for byte in data])
        assert text_of(await whole(world, "raw")) == "hi"


@pytest.mark.parametrize("framing", ["length", "end of file", "chunked"])
async def test_a_stream_may_be_framed_in_any_way(framing: str) -> None:
    body = said("hi") + DONE
    start = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n"
    async with open_world() as world:
        match framing:
            case "length":
                world.raw.answers(start + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            case "end of file":
                world.raw.answers_and_closes(start + b"\r\n", body)
            case _:
                world.raw.answers(HEAD, coded(body), END)
        assert text_of(await whole(world, "raw")) == "hi"


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE] \n\n"])
async def test_the_end_marker_may_have_blanks_around_it(end: bytes) -> None:
    async with open_world() as world:
        world.raw.answers(HEAD + coded(said("hi") + end) + END)
        answer = await whole(world, "raw")
        assert events_of(answer)[-1].data == "[DONE]"


async def test_a_frame_just_below_a_megabyte_passes() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-huge-frame?frame_size=1000000")
        assert "x" * 1_000_000 in text_of(answer)


# -- whatever it says --------------------------------------------------------------------------


async def test_a_whole_answer_is_the_providers_own() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-ok?same=1", stream=False)
        assert text_of(answer) == text_of(await whole(world, "sim-ok?same=1"))
        body = msgspec.json.decode(answer.body)
        assert body["object"] == "chat.completion"
        assert body["usage"]["total_tokens"] > 0
        assert int(answer.headers["content-length"]) == len(answer.body)


async def test_an_answer_of_five_hundred_chunks_has_five_hundred_chunks() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-long")
        deltas = [each["choices"][0]["delta"] for each in chunks_of(answer)]
        assert sum(bool(delta.get("content")) for delta in deltas) == 500
        await world.has_counted()
        counted = (await world.samples())["sse_chunks_streamed_total", (("provider", "simulator"),)]
        assert counted == len(chunks_of(answer))


async def test_several_choices_pass_through() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-ok?chunks=6", n=3)
        choices = [choice for chunk in chunks_of(answer) for choice in chunk["choices"]]
        assert {choice["index"] for choice in choices} == {0, 1, 2}
        assert sum(choice["finish_reason"] == "stop" for choice in choices) == 3
        assert len(msgspec.json.decode((await whole(
            world, "sim-ok", n=3, stream=False
        )).body)["choices"]) == 3  # fmt: skip


async def test_tool_calls_pass_through() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-tool?tool_calls=2", tools=[TOOL])
        choices = [choice for chunk in chunks_of(answer) for choice in chunk["choices"]]
        calls = [call for each in choices for call in each["delta"].get("tool_calls", ())]
        assert {call["index"] for call in calls} == {0, 1}
        assert {call["function"].get("name") for call in calls} == {"find", None}
        arguments = "".join(c["function"]["arguments"] for c in calls if c["index"] == 0)
        assert isinstance(msgspec.json.decode(arguments), dict)
        assert choices[-1]["finish_reason"] == "tool_calls"
        assert world.simulator.requests[0].body.count('"find"') == 1


async def test_reasoning_and_logprobs_pass_through() -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-reasoning", logprobs=True, top_logprobs=2)
        deltas = [choice["delta"] for chunk in chunks_of(answer) for choice in chunk["choices"]]
        assert sum("reasoning_content" in delta for delta in deltas) == 5
        scored = [choice["logprobs"] for c in chunks_of(answer) for choice in c["choices"]]
        assert sum(bool(each and each["content"][0]["top_logprobs"]) for each in scored) == 20


async def test_fields_that_nobody_here_knows_reach_the_provider_and_the_client() -> None:
    async with open_world() as world:
        odd = b'data: {"choices":[],"x_new":{"deep":[1]},"system_fingerprint":null}\n\n'
        received: list[bytes | None] = []

        async def serve(caller: Caller) -> None:
            received.append(await caller.request())
            await caller.say(HEAD + coded(odd + said("hi") + DONE) + END)

        world.raw.serve = serve
        answer = await whole(world, "raw", brand_new_field={"a": [1.50, None]})
        assert chunks_of(answer)[0]["x_new"] == {"deep": [1]}
        assert b'"brand_new_field":{"a":[1.5,null]}' in (received[0] or b"")


@pytest.mark.parametrize("asked", [None, {"include_usage": False}, {"include_usage": True}])
async def test_usage_is_always_asked_of_the_provider_and_told_only_to_those_who_asked(
    asked: dict[str, bool] | None,
) -> None:
    async with open_world() as world:
        answer = await whole(world, "sim-ok", stream_options=asked)
        (request,) = world.simulator.requests
        assert msgspec.json.decode(request.body)["stream_options"]["include_usage"] is True
        chunks = chunks_of(answer)
        if asked == {"include_usage": True}:
            assert [chunk["usage"] for chunk in chunks][:-1] == [None] * (len(chunks) - 1)
            assert chunks[-1]["choices"] == []
            assert chunks[-1]["usage"]["total_tokens"] > 0
        else:
            assert not any("usage" in chunk for chunk in chunks)
            assert all(chunk["choices"] for chunk in chunks)


async def test_every_answer_says_who_served_it_and_how_it_is_called() -> None:
    async with open_world() as world:
        for model, stream in [("sim-ok", True), ("sim-ok", False), ("sim-429", True)]:
            answer = await world.ask(model, stream=stream)
            headers = answer.headers
            assert headers["x-provider"] == "simulator"
            assert headers["x-cache"] == "miss"
            assert len(headers["x-stream-id"]) == 32
            assert headers["x-request-id"]
            if answer.status == 200 and stream:
                assert headers["cache-control"] == "no-cache, no-transform"
                assert headers["x-accel-buffering"] == "no"


async def test_no_two_streams_have_an_id_in_common() -> None:
    async with open_world() as world:
        answers = [await whole(world, "sim-ok?chunks=1") for _ in range(50)]
        assert len({answer.headers["x-stream-id"] for answer in answers}) == 50


async def test_the_metrics_tell_of_a_stream_what_the_seed_says() -> None:
    async with open_world() as world:
        await whole(world, "sim-ok?chunks=5")
        await whole(world, "sim-ok?chunks=5", stream=False)
        await world.ask("sim-503")
        await world.ask("unknown")
        await world.has_counted()
        samples = await world.samples()

        def value(name: str, **labels: str) -> float:
            return samples[name, tuple(sorted(labels.items()))]

        served = {"provider": "simulator", "model": "sim-*"}
        assert value("sse_requests_total", status="success", **served) == 2
        assert value("sse_requests_total", status="failure", **served) == 1
        calls = "sse_provider_requests_total"
        assert value(calls, provider="simulator", status="success") == 2
        assert value(calls, provider="simulator", status="failure") == 1
        assert value("sse_provider_latency_seconds_count", provider="simulator") == 2
        duration = "sse_request_duration_seconds_count"
        assert value(duration, stage="total") == 3
        assert value(duration, stage="streaming") == 1
        assert value(duration, stage="cache_lookup") == 0
        assert value("sse_time_to_first_chunk_seconds_count", provider="simulator") == 1
        assert value("sse_stream_duration_seconds_count", provider="simulator") == 1
        assert value("sse_chunks_streamed_total", provider="simulator") == 7
