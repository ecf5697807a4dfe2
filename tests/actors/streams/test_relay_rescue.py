"""Streams that break off after their first byte, on fakes and virtual time."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any, cast

import msgspec
import pytest
import trio
import trio.testing
from tests.actors.streams.test_relay import ID, TIMEOUTS
from tests.actors.streams.test_relay_again import (
    Answer,
    Chain,
    Script,
    chain,
    status,
)

from sluice.actors.failures import UpstreamFault
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.metrics.reports import Rescue
from sluice.actors.providers.upstream_failures import stopped
from sluice.actors.settings import RescueSettings, Routing
from sluice.actors.streams.stream import Stream
from sluice.http.formats.anthropic_format import AnthropicClient
from sluice.http.formats.openai_format import OpenAIClient
from sluice.http.formats.openai_request import AskedInOpenAI
from sluice.http.formats.sluice_format import SluiceClient


@pytest.fixture(params=[True, False], ids=["by the pump", "by the task"])
def direct(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


END = b"data: [DONE]\n\n"
CUT = UpstreamFault("cut")
TEXT = "Once upon a time, there was a river."


def frame(name: str, delta: dict[str, Any] | None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}
    whole = {"id": name, "object": "chat.completion.chunk", "created": len(name), "model": name}
    body = {**whole, "choices": [] if delta is None else [choice], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def opening(name: str, text: str) -> list[bytes]:
    """The beginning of an answer, in pieces of four characters."""
    pieces = [text[i : i + 4] for i in range(0, len(text), 4)]
    role = frame(name, {"role": "assistant", "content": ""})
    return [role, *(frame(name, {"content": piece}) for piece in pieces)]


def closing(name: str, tokens: int = 7) -> list[bytes]:
    return [
        frame(name, {}, finish="stop"),
        frame(name, None, usage={"total_tokens": tokens}),
        END,
    ]


def says(*data: bytes | Exception, ends: bool = True, together: bool = True) -> Answer:
    """All at once, or each when the one before was read."""

    def answer(_: Script, call: Any) -> None:
        if together:
            parts = [part for part in data if isinstance(part, bytes)]
            call.connection.say(b"".join(parts), *(p for p in data if isinstance(p, Exception)))
        else:
            call.connection.say(*data)
        if ends and isinstance(data[-1], bytes):
            call.connection.end()

    return answer


def says_nothing(_: Script, call: Any) -> None:
    """Until the test has it say something."""


def whole(name: str, text: str = TEXT) -> Answer:
    return says(*opening(name, text), *closing(name))


def breaks_off(after: int, fault: bytes | Exception = CUT) -> Answer:
    return says(*opening("a", TEXT[:after]), fault, together=False)


def ask(at: Chain, *, prefill: tuple[str, ...] = (), usage: bool = True, **fields: Any) -> None:
    """Have the stream ask for what a client would."""
    given = {"messages": [{"role": "user", "content": "tell"}], **fields}
    raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in given.items()}
    models = {
        name: msgspec.structs.replace(model, prefill=name in prefill)
        for name, model in at.services.routing.models.items()
    }
    at.services = msgspec.structs.replace(at.services, routing=Routing({}, models))
    job = msgspec.structs.replace(
        at.stream.job,
        model=models[at.stream.job.model.name],
        asked=AskedInOpenAI(raw, streamed=True),
        format=OpenAIClient(usage=usage),
    )
    at.stream = Stream(ID, job, at.client, at.services)


def frames_of(at: Chain) -> list[dict[str, Any]]:
    """The client's frames, of a stream that is valid as far as it goes."""
    lines = at.client.received.decode().splitlines()
    numbers = [int(line.rpartition("-")[2]) for line in lines if line.startswith("id: ")]
    assert numbers == list(range(1, len(numbers) + 1))
    found = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return [each for each in found if "error" not in each]


def text_of(at: Chain) -> str:
    deltas = [choice["delta"] for each in frames_of(at) for choice in each["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def check_unbroken(at: Chain, text: str = TEXT, name: str = "a") -> None:
    """One whole answer, as one provider would have given it."""
    frames = frames_of(at)
    for key in ("id", "model", "created"):
        assert {each[key] for each in frames} == {frames[0][key]}
    assert frames[0]["id"] == name
    deltas = [choice["delta"] for each in frames for choice in each["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == text
    assert sum("role" in delta for delta in deltas) == 1
    finished = [choice["finish_reason"] for each in frames for choice in each["choices"]]
    assert [reason for reason in finished if reason] == ["stop"]
    assert at.client.received.count(b"[DONE]") == 1
    assert at.client.received.endswith(b"data: [DONE]\n\n")
    assert b'"error"' not in at.client.received
    assert at.client.ended
    assert at.report.outcome == "success"
    assert at.report.end == "complete"
    assert at.report.error is None


def check_told(at: Chain, code: str, text: str) -> None:
    """One error behind what came, and no end marker."""
    assert at.error["code"] == code
    assert text_of(at) == text
    assert b"[DONE]" not in at.client.received
    assert at.client.ended
    assert at.report.outcome in {"failure", "timeout"}
    assert at.report.provider == "a"


FAULTS: dict[str, bytes | Exception] = {
    "cut": CUT,
    "reset": UpstreamFault("reset"),
    "garbage": b"data: {no\n\ndata: {no\n\n",
    "an error": b'data: {"error": {"message": "overloaded"}}\n\n',
    "no end": b"",
    "a frame without an end": b"data: " + b"x" * (2 << 20),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_an_answer_that_breaks_off_is_whole_if_a_fallback_repeats_it(
    fault: bytes | Exception, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18, fault)], b=[whole("b")]) as at:
        ask(at)
        await at.live()
        check_unbroken(at)
        assert (at.report.provider, at.report.model) == ("b", "b")
        assert [(each.provider, each.status) for each in at.report.attempts] == [
            ("a", "failure"),
            ("b", "success"),
        ]
        assert at.report.rescues == (Rescue("a", "restarted"),)
        assert frames_of(at)[-1]["usage"] == {
            "total_tokens": 7,
            "finished_by": {"provider": "b", "model": "b"},
        }
        assert [call.done for call in at.scripts["a"].calls] == [[False]]
        assert [call.done for call in at.scripts["b"].calls] == [[True]]
        assert at.asked == {"a": 1, "b": 1}


async def test_a_stalled_answer_goes_on_and_its_client_has_company_meanwhile(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    def slow(script: Script, call: Any) -> None:
        whole("b")(script, call)
        script.silence = 9.0

    stalls = says(*opening("a", TEXT[:18]), ends=False)
    async with chain(direct=direct, a=[stalls], b=[slow]) as at:
        ask(at)
        await at.live()
        assert [each.status for each in at.report.attempts] == ["timeout", "success"]
        assert at.report.duration == pytest.approx(TIMEOUTS.idle + 9, abs=1)
        assert at.client.received.count(b": hb\n") == 9
        check_unbroken(at)


async def test_a_second_answer_that_is_held_back_for_long_leaves_its_client_company(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18)], b=[says(b": hi\n\n", ends=False)]) as at:
        ask(at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await trio.testing.wait_all_tasks_blocked()
            for each in [*opening("b", TEXT), *closing("b")]:
                await trio.sleep(3)
                at.scripts["b"].calls[0].connection.say(each)
        assert at.client.received.count(b": hb\n") >= 3
        check_unbroken(at)


@pytest.mark.parametrize("told", [18, 5])  # "Once " ends with a blank
async def test_a_model_that_takes_a_prefill_continues_what_was_told(
    told: int, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    blanks = len(TEXT[:told]) - len(TEXT[:told].rstrip())
    rest = says(*opening("b", TEXT[told - blanks :]), *closing("b"))
    async with chain(direct=direct, a=[breaks_off(told)], b=[rest]) as at:
        ask(at, prefill=("b",))
        await at.live()
        check_unbroken(at)
        assert at.report.rescues == (Rescue("a", "continued"),)
        assert json.loads(at.scripts["b"].bodies[0])["messages"] == [
            {"role": "user", "content": "tell"},
            {"role": "assistant", "content": TEXT[:told].rstrip()},
        ]


@pytest.mark.parametrize("refusal", [400, 422])
async def test_a_prefill_that_is_refused_is_followed_by_a_restart(
    refusal: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(a=[breaks_off(18)], b=[status(refusal), whole("b")]) as at:
        ask(at, prefill=("b",))
        await at.live()
        check_unbroken(at)
        assert at.asked == {"a": 1, "b": 2}
        assert at.report.rescues == (Rescue("a", "restarted"),)
        assert [each.http_status for each in at.report.attempts] == [200, refusal, 200]


async def test_a_prefill_that_is_refused_never_becomes_the_clients_error(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18)], b=[status(400)]) as at:
        ask(at, prefill=("b",))
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.report.rescues == (Rescue("a", "failed"),)


async def test_a_second_answer_that_differs_ends_honestly_and_is_not_its_providers_fault(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18)], b=[whole("b", "Once there was")]) as at:
        ask(at)
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.report.rescues == (Rescue("a", "differed"),)
        assert [each.status for each in at.report.attempts] == ["failure", "success"]
        assert [call.done for call in at.scripts["b"].calls] == [[False]]


@pytest.mark.parametrize("end", [closing("b"), [END]], ids=["finished", "ended"])
async def test_a_second_answer_that_ends_before_the_first_did_differs(
    end: list[bytes], autojump_clock: trio.testing.MockClock
) -> None:
    short = says(*opening("b", TEXT[:9]), *end)
    async with chain(a=[breaks_off(18)], b=[short]) as at:
        ask(at)
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.report.rescues == (Rescue("a", "differed"),)


async def test_each_fallback_is_asked_once_and_then_the_first_failure_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    others: Any = {
        "b": [status(503)],
        "c": [whole("c", "Another")],
        "d": [says(UpstreamFault("reset"))],
    }
    async with chain(a=[breaks_off(18)], **others) as at:
        ask(at)
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.asked == {"a": 1, "b": 1, "c": 1, "d": 1}
        assert at.report.error == ("provider_error", "streaming")


async def test_an_answer_that_breaks_off_again_is_gone_on_with_again(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    again = says(*opening("b", TEXT[:27]), UpstreamFault("reset"))
    async with chain(direct=direct, a=[breaks_off(10)], b=[again], c=[whole("c")]) as at:
        ask(at)
        await at.live()
        check_unbroken(at)
        assert at.report.rescues == (Rescue("a", "restarted"), Rescue("b", "restarted"))
        assert at.report.provider == "c"


async def test_usages_are_added_up_whoever_told_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = [frame("a", {"role": "assistant", "content": TEXT[:8]}, usage={"total_tokens": 5})]
    async with chain(a=[says(*first, CUT)], b=[whole("b")]) as at:
        ask(at)
        await at.live()
        assert frames_of(at)[-1]["usage"]["total_tokens"] == 12


async def test_a_client_that_did_not_ask_for_the_usage_gets_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[breaks_off(18)], b=[whole("b")]) as at:
        ask(at, usage=False)
        await at.live()
        check_unbroken(at)
        assert b'"usage"' not in at.client.received


async def test_our_own_events_go_on_as_well(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18)], b=[whole("b")]) as at:
        ask(at)
        at.stream.job = msgspec.structs.replace(at.stream.job, format=SluiceClient())
        await at.live()
        lines = at.client.received.decode().splitlines()
        said = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        assert "".join(each.get("text", "") for each in said) == TEXT
        assert said[-1] == {"finish_reason": "stop"}
        assert said[-2]["total_tokens"] == 7
        numbers = [int(line.rpartition("-")[2]) for line in lines if line.startswith("id: ")]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("fault", [CUT, b""], ids=["cut", "no end"])
async def test_an_answer_that_lacked_nothing_but_its_end_was_whole(
    fault: bytes | Exception, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    first = says(*opening("a", TEXT), *closing("a")[:-1], fault)
    async with chain(direct=direct, a=[first], b=[whole("b")]) as at:
        ask(at)
        await at.live()
        check_unbroken(at)
        assert at.asked == {"a": 1, "b": 0}
        assert at.report.rescues == (Rescue("a", "completed"),)
        assert at.report.provider == "a"
        assert [each.status for each in at.report.attempts] == ["failure"]


@pytest.mark.parametrize("others_began", [True, False])
async def test_one_of_several_answers_that_has_its_reason_does_not_make_the_others_whole(
    others_began: bool, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "Once"}, "finish_reason": None}]}
    said = [frame("a", {"content": "Once"}), frame("a", {}, finish="stop")]
    if others_began:
        said.insert(0, b"data: " + json.dumps(other).encode() + b"\n\n")
    async with chain(direct=direct, a=[says(*said, CUT)], b=[whole("b")]) as at:
        ask(at, n=2)
        await at.live()
        assert at.error["code"] == "provider_cut"
        assert b"[DONE]" not in at.client.received
        assert at.report.rescues == (Rescue("a", "impossible"),)


CALL = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}


@pytest.mark.parametrize(
    ("first", "fields"),
    [
        (frame("a", CALL), {}),
        (frame("a", {"content": "Once"}), {"n": 2}),
        (frame("a", {"content": "Once"}), {"response_format": {"type": "json_object"}}),
        (frame("a", {"content": "Once"}), {"logprobs": True}),
    ],
    ids=["a tool call", "several choices", "structured output", "log probabilities"],
)
async def test_what_a_seam_would_make_wrong_is_not_gone_on_with(
    first: bytes, fields: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(a=[says(first, CUT)], b=[whole("b")]) as at:
        ask(at, **fields)
        await at.live()
        assert at.error["code"] == "provider_cut"
        assert at.asked == {"a": 1, "b": 0}
        assert at.report.rescues == (Rescue("a", "impossible"),)


async def test_what_grew_too_long_to_be_kept_is_not_gone_on_with(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[breaks_off(18)], b=[whole("b")]) as at:
        at.services = msgspec.structs.replace(at.services, rescue=RescueSettings(memory=100))
        ask(at)
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.report.rescues == (Rescue("a", "impossible"),)


async def test_a_rescue_may_be_switched_off_and_then_nothing_is_kept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[breaks_off(18)], b=[whole("b")]) as at:
        at.services = msgspec.structs.replace(at.services, rescue=RescueSettings(enabled=False))
        ask(at)
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.asked == {"a": 1, "b": 0}
        assert at.report.rescues == ()


@pytest.mark.parametrize("fallback", [True, False])
async def test_only_for_a_model_with_a_fallback_is_anything_kept(
    fallback: bool, autojump_clock: trio.testing.MockClock
) -> None:
    says_on = says(*opening("a", TEXT), ends=False)
    others: Any = {"b": [whole("b")]} if fallback else {}
    async with chain(a=[says_on], **others) as at, trio.open_nursery() as nursery:
        ask(at)
        nursery.start_soon(at.live)
        await trio.testing.wait_all_tasks_blocked()
        assert at.stream.flow is not None
        assert bool(at.stream.flow.kept) == fallback
        at.stream.interrupt(stopped())


async def test_a_fallback_that_serves_has_its_own_fallbacks_behind_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    broken = says(*opening("b", TEXT[:18]), CUT)
    async with chain(a=[status(401)], b=[broken], c=[whole("c")]) as at:
        ask(at)
        await at.live()
        check_unbroken(at, name="b")
        assert at.asked == {"a": 1, "b": 1, "c": 1}


async def test_the_total_time_is_over_for_whoever_would_go_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[says(*opening("a", TEXT[:18]), ends=False)], b=[whole("b")]) as at:
        ask(at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            while not at.stream.ended.is_set():
                await trio.sleep(10)
                at.scripts["a"].calls[0].connection.say(b": ping\n\n")
        check_told(at, "total_timeout", TEXT[:18])
        assert at.asked["b"] == 0


async def breaks_off_late(at: Chain, *, pings: int, every: float) -> None:
    """Have the first model say a little and, after so many pings, be cut."""
    await trio.testing.wait_all_tasks_blocked()
    first = at.scripts["a"].calls[0].connection
    first.say(*opening("a", TEXT[:18]))
    for _ in range(pings):
        await trio.sleep(every)
        first.say(b": ping\n\n")
    first.say(CUT)


async def test_who_goes_on_has_what_was_left_of_the_total_time_and_is_not_blamed_for_the_rest(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    slow = says(*opening("b", TEXT[:27]), ends=False)
    async with chain(direct=direct, a=[says_nothing], b=[slow], c=[whole("c")]) as at:
        ask(at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await breaks_off_late(at, pings=3, every=20)
            while not at.stream.ended.is_set():
                await trio.sleep(10)
                at.scripts["b"].calls[0].connection.say(b": ping\n\n")
        assert at.report.duration == pytest.approx(TIMEOUTS.total, abs=1)
        check_told(at, "provider_cut", TEXT[:27])
        assert at.asked == {"a": 1, "b": 1, "c": 0}
        assert [each.status for each in at.report.attempts] == ["failure", "success"]


async def test_who_is_silent_when_the_total_time_is_over_is_not_blamed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def silent(script: Script, _: Any) -> None:
        script.silence = 1000

    async with chain(a=[says_nothing], b=[silent]) as at:
        ask(at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await breaks_off_late(at, pings=4, every=TIMEOUTS.total / 4 - 1)
        assert at.report.duration == pytest.approx(TIMEOUTS.total, abs=1)
        check_told(at, "provider_cut", TEXT[:18])
        assert [each.provider for each in at.report.attempts] == ["a"]


REFUSED = b'data: {"error": {"message": "no", "code": "content_policy_violation"}}\n\n'


async def test_a_content_policys_refusal_in_mid_stream_is_told_and_nobody_else_is_asked(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18, REFUSED)], b=[whole("b")]) as at:
        ask(at)
        await at.live()
        check_told(at, "content_policy_violation", TEXT[:18])
        assert at.asked == {"a": 1, "b": 0}
        assert at.report.rescues == ()


@pytest.mark.parametrize("prefill", [(), ("b",)])
async def test_a_refusal_of_who_would_go_on_is_final_too(
    prefill: tuple[str, ...], autojump_clock: trio.testing.MockClock
) -> None:
    others: Any = {"b": [status(400, code="content_policy_violation")], "c": [whole("c")]}
    async with chain(a=[breaks_off(18)], **others) as at:
        ask(at, prefill=prefill)
        await at.live()
        check_told(at, "provider_cut", TEXT[:18])
        assert at.asked == {"a": 1, "b": 1, "c": 0}


@pytest.mark.parametrize("when", ["before the head", "while it is held back", "after it went on"])
@pytest.mark.parametrize("who", ["client", "we"])
async def test_whoever_ends_a_stream_that_is_gone_on_with_ends_it_at_once(
    when: str, who: str, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    told = {"before the head": 0, "while it is held back": 9, "after it went on": 27}[when]

    def second(script: Script, call: Any) -> None:
        says(*opening("b", TEXT[:told]), ends=False)(script, call)
        if not told:
            script.silence = 1000

    async with chain(direct=direct, a=[breaks_off(18)], b=[second]) as at:
        ask(at)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await trio.testing.wait_all_tasks_blocked()
            if who == "client":
                at.client.leave()
            else:
                at.stream.interrupt(stopped())
            await at.stream.ended.wait()
        assert text_of(at) == TEXT[: max(18, told)]
        if who == "client":
            assert at.client.aborted
            assert at.report.end == "client_left"
            assert at.report.outcome == "success"
        else:
            assert at.error["code"] == "stopping"
            assert at.report.end == "stopping"
            assert at.client.ended
        assert at.asked == {"a": 1, "b": 1}
        assert at.report.provider == ("b" if told > 18 else "a")


async def test_a_slow_client_gets_every_byte_of_both_answers_once(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18)], b=[whole("b")]) as at:
        ask(at)
        at.client.room = 10
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            while not at.stream.ended.is_set():
                await trio.testing.wait_all_tasks_blocked()
                at.client.make_room(77)
        check_unbroken(at)


async def test_a_client_that_stops_reading_is_cut_while_it_is_owed_the_first_answers_bytes(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[breaks_off(18)], b=[whole("b")]) as at:
        ask(at)
        at.client.room = 10
        await at.live()
        assert at.client.aborted
        assert at.report.end == "client_stalled"
        assert at.report.duration == pytest.approx(TIMEOUTS.client_write, abs=1)


async def test_a_stream_that_was_rescued_leaves_nothing_to_the_collector() -> None:
    gc.disable()
    try:
        async with chain(a=[breaks_off(18, FAULTS["garbage"])], b=[whole("b")]) as at:
            ask(at)
            await at.live()
        stream = weakref.ref(at.stream)
        del at.stream
        assert stream() is None
    finally:
        gc.enable()


async def test_a_malformed_frame_alone_costs_the_stream_nothing_and_is_reported(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    said = [*opening("a", TEXT[:18]), b"data: {no\n\n", *opening("a", TEXT[18:])[1:]]
    async with chain(direct=direct, a=[says(*said, *closing("a"))], b=[whole("b")]) as at:
        ask(at)
        await at.live()
        check_unbroken(at)
        assert [each.dropped for each in at.report.attempts] == [1]
        assert at.asked["b"] == 0


def block_event(kind: str, **fields: Any) -> bytes:
    body = json.dumps({"type": kind, **fields})
    return f"event: {kind}\ndata: {body}\n\n".encode()


def in_anthropics_words(text: str) -> list[bytes]:
    pieces = [text[i : i + 5] for i in range(0, len(text), 5)]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "x"}
    return [
        block_event("message_start", message={**message, "usage": {"input_tokens": 3}}),
        block_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            block_event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ),
    ]


ANTHROPICS_END = [
    block_event("content_block_stop", index=0),
    block_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4}),
    block_event("message_stop"),
]


@pytest.mark.parametrize("usage", [True, False], ids=["usage", "no usage"])
async def test_a_provider_of_another_format_goes_on_in_the_clients(
    usage: bool, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    second = says(*in_anthropics_words(TEXT), *ANTHROPICS_END)
    async with chain(direct=direct, a=[breaks_off(18)], b=[second]) as at:
        ask(at, usage=usage)
        at.scripts["b"].format = cast("Any", AnthropicProvider())
        await at.live()
        check_unbroken(at)
        last = frames_of(at)[-1]
        assert last["usage"]["total_tokens"] == 7 if usage else "usage" not in last
        assert (last["choices"] == []) == usage
        assert json.loads(at.scripts["b"].bodies[0])["max_tokens"] > 0


async def test_an_answer_that_was_translated_is_gone_on_with_under_its_own_name(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    first = says(*in_anthropics_words(TEXT[:18]), CUT, together=False)
    async with chain(direct=direct, a=[first], b=[whole("b")]) as at:
        ask(at)
        at.scripts["a"].format = cast("Any", AnthropicProvider())
        await at.live()
        frames = frames_of(at)
        assert frames[0]["id"].startswith("chatcmpl-")
        check_unbroken(at, name=frames[0]["id"])


@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "tool_use"])
async def test_what_no_chunk_can_say_is_not_gone_on_with(
    kind: str, autojump_clock: trio.testing.MockClock
) -> None:
    block = block_event(
        "content_block_start", index=1, content_block={"type": kind, "id": "t", "name": "n"}
    )
    first = says(*in_anthropics_words(TEXT[:18]), block, CUT, together=False)
    async with chain(a=[first], b=[whole("b")]) as at:
        ask(at)
        at.stream.job = msgspec.structs.replace(at.stream.job, format=AnthropicClient("a"))
        at.scripts["a"].format = cast("Any", AnthropicProvider())
        await at.live()
        assert at.asked["b"] == 0
        assert at.report.rescues == (Rescue("a", "impossible"),)
        assert at.report.end == "provider_cut"
