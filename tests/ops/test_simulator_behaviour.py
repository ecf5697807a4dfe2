"""What a model's name makes of a request: plans, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.ops.simulator.anthropic import Anthropic
from sluice.ops.simulator.behaviour import BEHAVIOURS, find
from sluice.ops.simulator.cohere import Cohere
from sluice.ops.simulator.dialect import Dialect
from sluice.ops.simulator.openai import OpenAI
from sluice.ops.simulator.options import Options
from sluice.ops.simulator.simulation import Simulation
from sluice.ops.simulator.steps import (
    Cut,
    Finish,
    Hang,
    Headers,
    Hold,
    Reset,
    Send,
    Start,
    Step,
    Wait,
)

DIALECTS: list[Dialect] = [OpenAI(), Anthropic(), Cohere()]
HEADERS: Headers = [(b"anthropic-version", b"2023-06-01")]
END = {"openai": b"[DONE]", "anthropic": b"message_stop", "cohere": b"message-end"}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def body(model: str, **more: Any) -> bytes:
    messages = [{"role": "user", "content": "Say something."}]
    request = {"model": model, "messages": messages, "max_tokens": 1000, "stream": True}
    return json.dumps(request | more).encode()


def plan(model: str, dialect: Dialect = DIALECTS[0], **more: Any) -> list[Step]:
    simulation = Simulation(1, Options(), clock=lambda: 1.7e9)
    return simulation.respond(dialect, body(model, **more), HEADERS).plan


def sent(steps: list[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Send | Finish))


def status(steps: list[Step]) -> int:
    assert isinstance(steps[0], Start)
    return steps[0].status


def test_a_name_may_go_on_after_a_hyphen() -> None:
    assert find("sim-cut-of-paris") is BEHAVIOURS["sim-cut"]
    assert find("sim-429-retry-after-2?chunks=1") is BEHAVIOURS["sim-429-retry-after"]
    assert find("sim-429-b") is BEHAVIOURS["sim-429"]


def test_an_unknown_name_is_an_unknown_model() -> None:
    assert find("gpt-4o") is None
    assert find("sim-okay") is None
    assert status(plan("gpt-4o")) == 404


@every_dialect
def test_an_answer_without_delays_is_one_write(dialect: Dialect) -> None:
    start, finish = plan("sim-ok", dialect)
    assert isinstance(start, Start)
    assert isinstance(finish, Finish)
    assert END[dialect.name] in finish.data


@every_dialect
def test_an_answer_that_is_not_streamed_declares_its_length(dialect: Dialect) -> None:
    start, finish = plan("sim-ok", dialect, stream=False)
    assert isinstance(start, Start)
    assert isinstance(finish, Finish)
    assert start.length == len(finish.data)


@every_dialect
def test_the_first_content_is_sent_before_the_first_delay(dialect: Dialect) -> None:
    steps = plan("sim-ok?chunks=3&delay=0.5&first_delay=2", dialect)
    waits = [step.seconds for step in steps if isinstance(step, Wait)]
    assert waits == [2, 0.5, 0.5]
    assert isinstance(steps[-1], Finish)


def test_each_event_has_a_write_of_its_own_if_wanted() -> None:
    steps = plan("sim-ok?chunks=3&write_each=1")
    assert [step.data.count(b"\n\n") for step in steps if isinstance(step, Send)] == [1] * 6


@every_dialect
def test_the_long_model_sends_500_chunks(dialect: Dialect) -> None:
    steps = plan("sim-long?delay=1", dialect)
    assert sum(isinstance(step, Wait) for step in steps) == 499


@every_dialect
@pytest.mark.parametrize(
    ("model", "last"), [("sim-cut", Cut()), ("sim-cut-reset", Reset()), ("sim-stall", Hang())]
)
def test_a_broken_stream_has_two_thirds_of_its_content(
    dialect: Dialect, model: str, last: Step
) -> None:
    steps = plan(f"{model}?chunks=9", dialect)
    assert steps[-1] == last
    assert sent(steps).endswith(b"\n\n")
    assert END[dialect.name] not in sent(steps)
    content = {"openai": b'"content":"', "anthropic": b"text_delta", "cohere": b"content-delta\n"}
    role = 1 if dialect.name == "openai" else 0
    assert sent(steps).count(content[dialect.name]) == 6 + role


def test_a_cut_may_come_within_an_event() -> None:
    steps = plan("sim-cut-inside")
    assert not sent(steps).endswith(b"\n")
    assert steps[-1] == Cut()


@every_dialect
def test_a_whole_answer_that_is_cut_promised_more_than_came(dialect: Dialect) -> None:
    steps = plan("sim-cut", dialect, stream=False)
    assert isinstance(steps[0], Start)
    assert steps[0].length is not None
    assert 0 < len(sent(steps)) < steps[0].length


@every_dialect
def test_a_stream_without_its_end_marker_is_whole_otherwise(dialect: Dialect) -> None:
    steps = plan("sim-no-end", dialect)
    assert isinstance(steps[-1], Finish)
    assert sent(plan("sim-ok", dialect)).count(b"\n\n") == sent(steps).count(b"\n\n") + 1
    assert END[dialect.name] not in sent(steps)


@every_dialect
def test_garbage_is_in_the_middle_and_the_stream_goes_on(dialect: Dialect) -> None:
    data = sent(plan("sim-garbage", dialect))
    at = data.index(b"\x00\xff\xfe<html>")
    assert 0 < data.index(b"upstream") < at < data.index(END[dialect.name])


@every_dialect
@pytest.mark.parametrize("stream", [True, False])
def test_a_huge_frame_has_ten_megabytes(dialect: Dialect, stream: bool) -> None:
    assert b"x" * 10_000_000 in sent(plan("sim-huge-frame", dialect, stream=stream))


@every_dialect
def test_no_end_marker_follows_an_error_in_the_stream(dialect: Dialect) -> None:
    data = sent(plan("sim-error-in-stream", dialect))
    last = data.split(b"\n\n")[-2]
    assert b"error" in last
    assert b"COMPLETE" not in data
    assert b"[DONE]" not in data
    assert b"message_stop" not in data
    assert status(plan("sim-error-in-stream", dialect, stream=False)) == 500


@every_dialect
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("sim-401", 401),
        ("sim-404", 404),
        ("sim-429", 429),
        ("sim-500", 500),
        ("sim-503", 503),
        ("sim-context-length", 400),
        ("sim-content-policy", 400),
    ],
)
def test_a_model_named_after_an_error_answers_it(
    dialect: Dialect, model: str, expected: int
) -> None:
    steps = plan(model, dialect)
    assert status(steps) == expected
    assert json.loads(sent(steps))


@pytest.mark.parametrize(("model", "told"), [("sim-429", None), ("sim-429-retry-after", b"1")])
def test_only_one_of_the_two_rate_limits_says_when_to_come_back(
    model: str, told: bytes | None
) -> None:
    (start, _) = plan(model)
    assert isinstance(start, Start)
    assert dict(start.headers).get(b"retry-after") == told


@pytest.mark.parametrize(
    ("model", "step"), [("sim-silent", Hang()), ("sim-refuse", Cut()), ("sim-reset", Reset())]
)
def test_some_models_never_get_to_a_head(model: str, step: Step) -> None:
    assert plan(model) == [step]


def test_500_once_counts_attempts_at_one_prompt() -> None:
    simulation = Simulation(1, Options())

    def ask(prompt: str) -> int:
        messages = [{"role": "user", "content": prompt}]
        request = body("sim-500-once", messages=messages)
        return status(simulation.respond(OpenAI(), request, []).plan)

    assert [ask("a"), ask("a"), ask("b"), ask("a"), ask("b")] == [500, 200, 500, 200, 200]


def test_a_flapping_model_fails_every_other_time() -> None:
    simulation = Simulation(1, Options())
    plans = [simulation.respond(OpenAI(), body("sim-flap"), []).plan for _ in range(4)]
    assert [status(steps) for steps in plans] == [503, 200, 503, 200]


@every_dialect
def test_a_model_without_prefill_refuses_only_a_prefill(dialect: Dialect) -> None:
    messages = [
        {"role": "user", "content": "Say something."},
        {"role": "assistant", "content": "It"},
    ]
    assert status(plan("sim-no-prefill", dialect, messages=messages)) == 400
    assert status(plan("sim-no-prefill", dialect)) == 200


@every_dialect
def test_a_model_with_prefill_continues_its_own_words(dialect: Dialect) -> None:
    simulation = Simulation(1, Options(same=True))

    def text(messages: list[dict[str, str]]) -> str:
        request = body("sim-ok", messages=messages, stream=False)
        answer = json.loads(sent(simulation.respond(dialect, request, HEADERS).plan))
        if dialect.name == "openai":
            return str(answer["choices"][0]["message"]["content"])
        return str((answer.get("message") or answer)["content"][0]["text"])

    user = {"role": "user", "content": "Say something."}
    whole = text([user])
    prefill = whole[:12].rstrip()
    assert text([user, {"role": "assistant", "content": prefill}]) == whole[len(prefill) :]


@every_dialect
@pytest.mark.parametrize("name", ["crlf", "cr", "bom", "comments", "multiline", "ids", "trickle"])
def test_an_odd_stream_carries_what_a_plain_one_does(dialect: Dialect, name: str) -> None:
    odd = sent(plan(f"sim-{name}?same=1", dialect)).removeprefix(b"\xef\xbb\xbf")
    text = odd.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b'\ndata:"', b'"')
    ok = sent(plan("sim-ok?same=1", dialect))
    ignored = (b":", b"id:", b"retry:")
    lines = [line for line in text.split(b"\n") if line and not line.startswith(ignored)]
    model = f"sim-{name}?same=1".encode()
    expected = [line for line in ok.replace(b"sim-ok?same=1", model).split(b"\n") if line]
    assert lines == expected


def test_a_trickle_writes_one_byte_at_a_time() -> None:
    writes = [step.data for step in plan("sim-trickle?chunks=1") if isinstance(step, Send)]
    assert {len(data) for data in writes} <= {0, 1}
    assert len(writes) > 100


def test_signs_of_life_come_while_a_stream_says_nothing() -> None:
    steps = plan("sim-slow-first-chunk?pings=5", DIALECTS[1])
    at = steps.index(Wait(5.0))
    assert steps[at + 1] == Send(b'event: ping\ndata: {"type": "ping"}\n\n')
    assert [s.seconds for s in steps[: at + 5] if isinstance(s, Wait)] == [5, 5, 2]
    assert isinstance(plan("sim-stall?pings=5")[-1], Hang)
    assert plan("sim-stall?pings=5")[-1] == Hang(5, b": PROCESSING\n\n")
    assert plan("sim-stall?pings=5", stream=False)[-1] == Hang()


@pytest.mark.parametrize("piece", [0, 2, 3])
def test_a_stream_is_held_before_the_piece_named(piece: int) -> None:
    steps = plan(f"sim-ok?chunks=3&hold={piece}")
    at = steps.index(Hold())
    assert sent(steps[:at]).count(b'"content":"') == 1 + piece
    assert sent(steps).endswith(b"data: [DONE]\n\n")


def test_chance_is_seeded_and_comes_as_often_as_asked() -> None:
    def faults(seed: int, requests: int) -> list[bool]:
        simulation = Simulation(seed, Options(probability=0.3, faults="503"))
        plans = [simulation.respond(OpenAI(), body("sim-ok"), []).plan for _ in range(requests)]
        return [status(steps) == 503 for steps in plans]

    many = faults(1, 1000)
    assert faults(1, 100) == many[:100]
    assert faults(2, 100) != many[:100]
    assert 250 < sum(many) < 350


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("sim-ok?chunk=3", "unknown option 'chunk'"),
        ("sim-ok?chunks=many", "chunks"),
        ("sim-ok?delay=-1", "delay must not be negative"),
        ("sim-ok?delay=inf", "delay must not be negative or infinite"),
        ("sim-ok?chunk_size=0", "chunk_size must be at least 1"),
        ("sim-ok?chunks=99999999", "at most 1,000,000 tokens"),
        ("sim-ok?probability=2", "probability"),
        ("sim-ok?faults=503,nothing&probability=1", "nothing"),
    ],
)
def test_a_wrong_option_is_named(model: str, told: str) -> None:
    steps = plan(model)
    assert status(steps) == 400
    error = json.loads(sent(steps))["error"]
    assert told in error["message"]
    assert error["param"] == "model"


def test_a_demanded_key_is_found_where_each_format_has_it() -> None:
    simulation = Simulation(1, Options(), api_key="secret")

    def ask(*headers: tuple[bytes, bytes]) -> int:
        return status(simulation.respond(OpenAI(), body("sim-ok"), list(headers)).plan)

    assert ask() == 401
    assert ask((b"authorization", b"Bearer wrong")) == 401
    assert ask((b"authorization", b"Bearer secret")) == 200
    assert ask((b"x-api-key", b"secret")) == 200


def test_attempts_are_remembered_for_a_bounded_number_of_prompts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice.ops.simulator.simulation._REMEMBERED", 2)
    simulation = Simulation(1, Options())

    def attempt(prompt: str) -> int:
        messages = [{"role": "user", "content": prompt}]
        return simulation.respond(OpenAI(), body("sim-ok", messages=messages), []).attempt

    assert [attempt(prompt) for prompt in "aabcda"] == [1, 2, 1, 1, 1, 1]
