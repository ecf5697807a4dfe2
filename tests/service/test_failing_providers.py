"""Providers that break their word: the client gets one clear error, and never an end marker.

Every answer here passes `World.saw`: one error at its end and nothing else, the body ended
properly, and the metrics count just that.
"""

from __future__ import annotations

import msgspec
import pytest
import trio
from tests.service.raw_provider import DONE, END, HEAD, Caller, coded, said
from tests.service.telling import events_of, outcome_of, text_of
from tests.service.world import HANGS, KEY, World, open_world

WHOLE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def fails(world: World, model: str, status: int, code: str, *, stream: bool = True) -> None:
    answer = await world.ask(model, stream=stream)
    assert (answer.status, outcome_of(answer)) == (status, code)
    assert answer.headers["x-provider"]
    assert answer.headers["x-request-id"]


# -- before the first byte ---------------------------------------------------------------------

BEFORE = [
    ("nobody", 502, "provider_refused"),
    ("sim-refuse", 502, "provider_cut"),
    ("sim-reset", 502, "provider_reset"),
    ("sim-401", 502, "provider_credentials"),
    ("sim-404", 404, "model_not_found"),
    ("sim-context-length", 400, "context_length_exceeded"),
    ("sim-content-policy", 400, "content_policy_violation"),
    ("sim-429", 429, "provider_rate_limited"),
    ("sim-429-retry-after", 429, "provider_rate_limited"),
    ("sim-500", 502, "provider_status"),
    ("sim-503", 503, "provider_unavailable"),
    ("sim-html", 502, "provider_content_type"),
    ("sim-redirect", 502, "provider_status"),
]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("model", "status", "code"), BEFORE, ids=[model for model, *_ in BEFORE])
async def test_a_provider_that_fails_before_its_first_byte_is_an_error_with_a_status(
    model: str, status: int, code: str, *, stream: bool
) -> None:
    async with open_world() as world:
        await fails(world, model, status, code, stream=stream)
        assert (await world.ask("sim-ok", stream=stream)).status == 200


async def test_a_providers_retry_after_is_passed_on_and_another_refusal_has_one_too() -> None:
    async with open_world() as world:
        told = await world.ask("sim-429-retry-after?retry_after=17")
        assert told.headers["retry-after"] == "17"
        for model in ("sim-429", "sim-503"):
            assert int((await world.ask(model)).headers["retry-after"]) >= 1


async def test_a_provider_that_refuses_our_key_does_not_become_the_clients_fault() -> None:
    async with open_world() as world:
        answer = await world.ask("sim-401")
        assert answer.status == 502
        assert b"key" not in answer.body.lower()
        assert KEY.encode() not in answer.body


async def test_a_redirect_is_not_followed() -> None:
    async with open_world() as world:
        await world.ask("sim-redirect")
        assert world.simulator.statistics.requests == 1


@pytest.mark.parametrize(
    ("said_by_provider", "code"),
    [
        (b"220 smtp.example.com ESMTP\r\n", "provider_protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "provider_protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX", "provider_cut"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"y" * 100_000), "provider_too_large"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, "provider_too_large"),
        (HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n", "provider_protocol"),
        (HEAD + b"zz\r\n", "provider_protocol"),
        (HEAD.replace(b"200 OK", b"204 None"), "provider_status"),
        (HEAD.replace(b"200 OK", b"101 Switching Protocols"), "provider_protocol"),
        (HEAD.replace(b"text/event-stream", b"application/json") + END, "provider_content_type"),
        (HEAD.replace(b"Content-Type: text/event-stream\r\n", b"") + END, "provider_content_type"),
        (HEAD, "provider_cut"),
        (HEAD + END, "provider_no_end"),
        (HEAD + coded(b": ping\n\n") + END, "provider_no_end"),
        (HEAD + coded(b"data: nonsense\n\n"), "malformed_chunk"),
        (HEAD + coded(b'data: {"error": {"message": "no"}}\n\n'), "provider_error_in_stream"),
    ],
    ids=[
        "another protocol",
        "TLS",
        "half a head",
        "an endless header",
        "endless headers",
        "compressed",
        "a malformed chunk",
        "no content",
        "a switch of protocols",
        "another content type",
        "no content type",
        "a head and no more",
        "an empty body",
        "a comment and no more",
        "garbage first",
        "an error first",
    ],
)
async def test_a_provider_that_says_nothing_of_use_is_a_502(
    said_by_provider: bytes, code: str
) -> None:
    async with open_world() as world:
        world.raw.answers_and_closes(said_by_provider)
        await fails(world, "raw", 502, code)


async def test_an_interim_response_is_no_answer_and_the_answer_after_it_is_served() -> None:
    async with open_world() as world:
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        world.raw.answers(hint + hint, HEAD + coded(said("hi") + DONE) + END)
        assert text_of(await world.ask("raw")) == "hi"


# -- after the first byte ----------------------------------------------------------------------

AFTER = [
    ("sim-cut", "provider_cut"),
    ("sim-cut-inside", "provider_cut"),
    ("sim-cut-reset", "provider_reset"),
    ("sim-garbage", "malformed_chunk"),
    ("sim-huge-frame", "provider_frame_too_large"),
    ("sim-error-in-stream", "provider_error_in_stream"),
    ("sim-no-end", "provider_no_end"),
]


@pytest.mark.parametrize("pace", ["", "write_each=1"], ids=["at once", "event by event"])
@pytest.mark.parametrize(("model", "code"), AFTER, ids=[model for model, _ in AFTER])
async def test_a_provider_that_fails_in_its_stream_is_one_error_at_the_end_of_what_came(
    model: str, code: str, pace: str
) -> None:
    async with open_world() as world:
        answer = await world.ask(f"{model}?chunks=9&{pace}")
        assert (answer.status, outcome_of(answer)) == (200, code)
        assert text_of(answer)
        assert b"[DONE]" not in answer.body
        assert (await world.ask("sim-ok")).status == 200


@pytest.mark.parametrize("model", ["sim-cut", "sim-cut-reset", "sim-no-end", "sim-garbage"])
async def test_a_whole_answer_that_is_not_whole_is_never_passed_on(model: str) -> None:
    async with open_world() as world:
        answer = await world.ask(model, stream=False)
        assert answer.status == 502


async def test_a_whole_answer_that_is_no_completion_is_never_passed_on() -> None:
    async with open_world() as world:
        for body in (b"{}", b'{"choices": 7}', b'{"choices": [', b"", b"[]", b"\xff"):
            world.raw.answers_and_closes(WHOLE_HEAD % len(body) + body)
            await fails(world, "raw", 502, "malformed_answer", stream=False)


async def test_nothing_that_follows_the_end_marker_reaches_the_client() -> None:
    async with open_world() as world:
        late = coded(said("hi") + DONE + said("and another thing"))
        world.raw.answers_and_closes(HEAD, late, END)
        answer = await world.ask("raw")
        assert (outcome_of(answer), text_of(answer)) == ("whole", "hi")


async def test_an_answer_whose_body_is_cut_after_its_end_marker_was_whole() -> None:
    async with open_world() as world:
        world.raw.answers_and_closes(HEAD, coded(said("hi") + DONE))
        assert outcome_of(await world.ask("raw")) == "whole"


async def test_a_last_event_without_its_blank_line_is_no_event() -> None:
    async with open_world() as world:
        world.raw.answers_and_closes(HEAD, coded(said("hi") + b"data: [DONE]\n") + END)
        answer = await world.ask("raw")
        assert (outcome_of(answer), text_of(answer)) == ("provider_no_end", "hi")


async def test_one_failing_stream_does_not_touch_another_on_the_same_provider() -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        ends: list[str] = []

        async def ask(model: str) -> None:
            ends.append(outcome_of(await world.ask(model)))

        for number in range(40):
            model = [*AFTER, ("sim-ok", "")][number % (len(AFTER) + 1)][0]
            nursery.start_soon(ask, f"{model}?chunks=30&delay=0.002")
        with trio.fail_after(30):
            while len(ends) < 40:
                await world.simulator.wait(lambda now: now.open == 0)
                await trio.lowlevel.checkpoint()
        assert sorted(ends) == sorted([code for _, code in AFTER] * 5 + ["whole"] * 5)


# -- what holds a connection -------------------------------------------------------------------


async def test_a_failed_answers_connection_is_closed_and_a_good_ones_is_used_again() -> None:
    async with open_world() as world:
        for _ in range(3):
            await world.ask("sim-ok")
        assert world.simulator.statistics.accepted == 1
        await world.ask("sim-huge-frame")
        await world.ask("sim-ok")
        assert world.simulator.statistics.accepted == 2


async def test_a_provider_that_closes_idle_connections_costs_no_request() -> None:
    async with open_world() as world:
        world.raw.answers_and_closes(HEAD, coded(said("hi") + DONE) + END)
        for number in range(20):
            assert text_of(await world.ask("raw")) == "hi"
            assert world.raw.connections == number + 1


async def test_a_provider_that_closes_just_when_it_is_asked_again_costs_no_request() -> None:
    async with open_world() as world:
        rest = HEAD + coded(said("hi") + DONE) + END

        async def serve(caller: Caller) -> None:
            await caller.request()
            await caller.say(rest)
            await caller.request()  # and closes, without a byte

        world.raw.serve = serve
        for _ in range(10):
            assert text_of(await world.ask("raw")) == "hi"


async def test_a_request_that_the_provider_may_have_begun_is_not_sent_twice() -> None:
    async with open_world() as world:
        asked: list[bytes | None] = []

        async def serve(caller: Caller) -> None:
            asked.append(await caller.request())
            await caller.say(HEAD + coded(said("hi") + DONE) + END)
            asked.append(await caller.request())
            await caller.say(b"HTTP/1.1 200")

        world.raw.serve = serve
        assert outcome_of(await world.ask("raw")) == "whole"
        assert outcome_of(await world.ask("raw")) == "provider_cut"
        assert len(asked) == 2


async def test_what_an_idle_connection_says_unasked_is_nobodys_answer() -> None:
    async with open_world() as world:
        spoken = trio.Event()

        async def serve(caller: Caller) -> None:
            await caller.request()
            await caller.say(HEAD + coded(said("hi") + DONE) + END)
            if world.raw.connections == 1:
                await caller.say(HEAD + coded(said("stolen") + DONE) + END)
                spoken.set()
            await caller.closed()

        world.raw.serve = serve
        assert text_of(await world.ask("raw")) == "hi"
        await spoken.wait()
        assert text_of(await world.ask("raw")) == "hi"


# -- secrets -----------------------------------------------------------------------------------


async def test_nothing_of_a_clients_head_reaches_the_provider() -> None:
    async with open_world() as world:
        client = await world.connect()
        body = msgspec.json.encode(
            {
                "model": "sim-ok",
                "messages": [{"role": "user", "content": "x"}],
                "stream": True,
            }
        )
        lines = [
            "POST /v1/chat/completions?api_key=sk-in-the-url HTTP/1.1",
            "Host: sluice",
            "Authorization: Bearer sk-of-the-client",
            "X-Api-Key: sk-of-the-client",
            "Cookie: session=of-the-client",
            "X-Forwarded-For: 10.1.2.3",
            "OpenAI-Organization: of-the-client",
            "User-Agent: of-the-client",
            f"Content-Length: {len(body)}",
            "",
            "",
        ]
        await client.send("\r\n".join(lines).encode() + body)
        assert (await world.read(client)).status == 200
        (seen,) = world.simulator.requests
        headers = dict(seen.headers)
        assert headers.pop("authorization") == f"Bearer {KEY}"
        assert set(headers) == {
            "accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"
        }  # fmt: skip
        told = repr(seen)
        assert "of-the-client" not in told
        assert "sk-in-the-url" not in told
        assert "10.1.2.3" not in told


async def test_a_clients_ids_with_line_ends_make_no_header_of_their_own() -> None:
    async with open_world() as world:
        answer = await world.ask("sim-ok\r\nX-Evil: 1")
        assert "x-evil" not in answer.headers
        assert "x-evil" not in dict(world.simulator.requests[0].headers)


async def test_the_key_is_in_no_answer_and_no_log_line() -> None:
    async with open_world() as world:
        for model, *_ in BEFORE:
            answer = await world.ask(model)
            assert KEY.encode() not in answer.body
            assert KEY not in repr(answer.headers)
        assert KEY not in repr(world.logged)


async def test_a_stream_that_hangs_is_still_there_when_everything_else_has_failed() -> None:
    async with open_world() as world:
        client = await world.begin(HANGS)
        await world.simulator.wait(lambda now: now.open == 1)
        for model, *_ in BEFORE + AFTER:
            await world.ask(model)
        assert (await world.slots()).active == 1
        world.simulator.release()
        await client.leave()
        world.expected.update(["success", "left streaming"])


async def test_the_events_before_a_failure_are_all_there() -> None:
    async with open_world() as world:
        pieces = [f"piece {number} " for number in range(50)]
        world.raw.answers_and_closes(HEAD, *[coded(said(piece)) for piece in pieces])
        answer = await world.ask("raw")
        assert outcome_of(answer) == "provider_cut"
        assert text_of(answer) == "".join(pieces)
        assert len(events_of(answer)) == 51
