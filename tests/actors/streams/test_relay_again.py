"""Who is asked again, and what the client sees of it: on fakes and virtual time."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
import trio
import trio.testing
from tests.actors.fakes import FakePoller, FakeUpstream
from tests.actors.streams.test_relay import END, ID, TIMEOUTS, FakeCall, FakeProvider, World, event

from sluice.actors.breakers.circuits import Bulletin, View
from sluice.actors.failures import Failure, UpstreamFault
from sluice.actors.formats.anthropic import AnthropicProvider
from sluice.actors.formats.cohere import CohereProvider
from sluice.actors.formats.format import ClientFormat, ProviderFormat
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.metrics.accounting import updates
from sluice.actors.providers.upstream_failures import stopped
from sluice.actors.settings import ModelSettings, RescueSettings, RetrySettings, Routing, Timeouts
from sluice.actors.streams.stream import Stream
from sluice.http.formats.anthropic_format import AnthropicClient
from sluice.http.formats.cohere_format import CohereClient
from sluice.http.formats.openai_request import AskedInOpenAI

Answer = Callable[["Script", FakeCall], None]
RETRIES = RetrySettings(attempts=2, backoff=1.0, max_wait=8.0, budget=60.0)


class Script(FakeProvider):
    """A provider whose every call goes as the next of ``answers`` says, the last for ever."""

    def __init__(self, name: str, poller: FakePoller, answers: list[Answer]) -> None:
        super().__init__(FakeCall(FakeUpstream(poller)))
        self.name = name
        self.answers = answers
        self.times: list[float] = []
        self.calls: list[FakeCall] = []
        self.answered: list[FakeCall] = []
        self._poller = poller

    async def call(
        self, body: bytes, *, streamed: bool, timeouts: Timeouts, hold: Callable[..., None]
    ) -> FakeCall:
        self.answer = FakeCall(FakeUpstream(self._poller))
        if not streamed:
            self.answer.content_type = "application/json"
        self.silence, self.fault = 0.0, None
        self.answers[min(len(self.times), len(self.answers) - 1)](self, self.answer)
        self.times.append(trio.current_time())
        self.calls.append(self.answer)
        answer = self.answer
        await super().call(body, streamed=streamed, timeouts=timeouts, hold=hold)
        self.answered.append(answer)
        return answer


def says(*data: bytes | Exception) -> Answer:
    def answer(_: Script, call: FakeCall) -> None:
        call.connection.say(*data[:-1])
        last = data[-1]
        if isinstance(last, bytes):
            call.connection.end(last)
        else:
            call.connection.say(last)

    return answer


def status(number: int, *, retry_after: float | None = None, code: str = "") -> Answer:
    def answer(_: Script, call: FakeCall) -> None:
        call.status, call.retry_after = number, retry_after
        call.error_body = json.dumps({"error": {"message": "theirs", "code": code}}).encode()

    return answer


def breaks(reason: str) -> Answer:
    def answer(script: Script, _: FakeCall) -> None:
        script.fault = UpstreamFault(reason)

    return answer


def silent(script: Script, _: FakeCall) -> None:
    script.silence = 3600.0


def opens_and_is_silent(_: Script, call: FakeCall) -> None:
    call.connection.say(ROLE)


ROLE = b'data: {"id":"theirs","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
ANTHROPICS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
]
COHERES = ["message-start", "content-start", "content-delta", "content-end", "message-end"]
"""What a client of theirs is told of an answer in one piece."""
WELL = says(ROLE, event("hello"), END)
WHOLE = says(b'{"choices": [{"message": {"content": "hello"}}]}')


class Chain(World):
    """A stream of model ``a``, whose fallbacks are the models of other names."""

    def __init__(
        self, nursery: trio.Nursery, *, streamed: bool, direct: bool, **answers: list[Answer]
    ) -> None:
        super().__init__(nursery, streamed=streamed, direct=direct)
        self.scripts = {name: Script(name, self.poller, listed) for name, listed in answers.items()}
        first, *others = answers
        models = {
            name: ModelSettings(
                name, name, timeouts=TIMEOUTS, fallback=tuple(others) if name == first else ()
            )
            for name in answers
        }
        self.services = msgspec.structs.replace(
            self.services,
            providers=cast("Any", self.scripts),
            routing=Routing({}, models),
            retries=RETRIES,
            chance=lambda: 0.5,
        )
        job = msgspec.structs.replace(self.stream.job, model=models[first])
        self.stream = Stream(ID, job, self.client, self.services)

    @property
    def asked(self) -> dict[str, int]:
        return {name: len(script.times) for name, script in self.scripts.items()}

    @property
    def text(self) -> str:
        lines = self.client.received.decode().splitlines()
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        return "".join(
            choice["delta"].get("content", "") for each in chunks for choice in each["choices"]
        )

    @property
    def error(self) -> Any:
        (line,) = [part for part in self.client.received.splitlines() if b'"error"' in part]
        return json.loads(line.removeprefix(b"data: "))["error"]

    def check_released(self) -> None:
        super().check_released()
        for script in self.scripts.values():
            assert all(len(call.done) == 1 for call in script.answered)


@asynccontextmanager
async def chain(
    *, streamed: bool = True, direct: bool = True, **answers: list[Answer]
) -> AsyncIterator[Chain]:
    async with trio.open_nursery() as nursery:
        made = Chain(nursery, streamed=streamed, direct=direct, **answers)
        nursery.start_soon(made.services.pump.run)
        nursery.start_soon(made.services.scan.run)
        yield made
        nursery.cancel_scope.cancel()
    assert not made.faults
    made.check_released()


@pytest.fixture(params=[True, False], ids=["by the pump", "by the task"])
def direct(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize(
    "fault",
    [
        status(429),
        status(500),
        status(503),
        breaks("refused"),
        breaks("reset"),
        breaks("cut"),
        says(UpstreamFault("cut")),
        says(ROLE, UpstreamFault("reset")),
        says(ROLE, b"data: nonsense\n\n"),
        says(b'data: {"error": {"message": "overloaded"}}\n\n'),
    ],
)
async def test_what_may_get_better_is_asked_again_and_its_client_sees_one_whole_answer(
    fault: Answer, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[fault, WELL]) as at:
        await at.live()
        assert at.text == "hello"
        assert at.client.received.count(b"theirs") == 1
        assert at.client.received.startswith(b"id: " + ID.encode() + b"-1\n")
        assert at.asked == {"a": 2}
        assert at.report.outcome == "success"
        assert at.report.error is None
        assert [each.status for each in at.report.attempts] == ["failure", "success"]
        assert [each.by for each in at.report.again] == ["retry"]


def begins(*events: bytes) -> Answer:
    """Say ``events``, each named by its type, and then be cut."""
    named = [
        b"event: %b\ndata: %b\n\n" % (json.loads(data)["type"].encode(), data) for data in events
    ]
    return says(*named, UpstreamFault("cut"))


BEGUN_BY_ANTHROPIC = begins(
    b'{"type":"message_start","message":{}}',
    b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
)
BEGUN_BY_COHERE = begins(
    b'{"type":"message-start","id":"theirs"}',
    b'{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text"}}}}',
)


@pytest.mark.parametrize(
    ("client", "provider", "begun", "kinds"),
    [
        (AnthropicClient("a"), OpenAIProvider(), says(ROLE, UpstreamFault("cut")), ANTHROPICS),
        (AnthropicClient("a"), AnthropicProvider(), BEGUN_BY_ANTHROPIC, ANTHROPICS),
        (CohereClient(), OpenAIProvider(), says(ROLE, UpstreamFault("cut")), COHERES),
        (CohereClient(), CohereProvider(), BEGUN_BY_COHERE, COHERES),
    ],
    ids=["Anthropic's, translated", "Anthropic's", "Cohere's, translated", "Cohere's"],
)
async def test_of_an_answer_that_was_held_back_the_next_one_takes_nothing_for_said(
    client: ClientFormat,
    provider: ProviderFormat,
    begun: Answer,
    kinds: list[str],
    direct: bool,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(direct=direct, a=[begun], b=[WELL]) as at:
        at.services = msgspec.structs.replace(at.services, retries=RetrySettings(attempts=0))
        asked = AskedInOpenAI({"messages": msgspec.Raw(b'[{"role":"user","content":"x"}]')}, True)
        job = msgspec.structs.replace(at.stream.job, format=client.anew(), asked=asked)
        at.stream = Stream(ID, job, at.client, at.services)
        at.scripts["a"].format = cast("Any", provider)
        await at.live()
        lines = at.client.received.decode().splitlines()
        assert [json.loads(line[6:])["type"] for line in lines if line[:6] == "data: "] == kinds
        assert at.asked == {"a": 1, "b": 1}


async def test_a_wait_that_a_provider_asks_for_is_waited_where_no_fallback_would_be_called(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    answers = [status(429, retry_after=3.0), WELL]
    async with chain(direct=direct, a=answers, b=[WELL]) as at:
        opened = View("b", "open", blocked=60.0, retry_after=60.0)
        at.services.permits.learn(Bulletin(1, (opened,)))
        await at.live()
    assert (at.text, at.asked) == ("hello", {"a": 2, "b": 0})
    assert at.scripts["a"].times == [0.0, 3.5]


async def test_the_waits_double_and_are_by_chance(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[status(500)]) as at:
        await at.live()
        first, second, third = at.scripts["a"].times
        assert second - first == pytest.approx(0.5)
        assert third - second == pytest.approx(1.0)
        assert at.client.head is not None
        assert at.client.head[0] == 502


@pytest.mark.parametrize("fault", [silent, opens_and_is_silent, breaks("connect_timeout")])
async def test_a_silent_provider_is_not_asked_again_but_its_fallback_is(
    fault: Answer, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[fault], b=[WELL]) as at:
        await at.live()
        assert at.text == "hello"
        assert at.asked == {"a": 1, "b": 1}
        assert (at.report.provider, at.report.model) == ("b", "b")
        assert [each.status for each in at.report.attempts] == ["timeout", "success"]
        assert at.report.error is None


async def test_a_whole_answer_of_a_silent_provider_is_the_fallbacks_after_total(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(streamed=False, a=[silent], b=[WHOLE]) as at:
        at.stream.services = msgspec.structs.replace(
            at.services, retries=msgspec.structs.replace(RETRIES, budget=1000.0)
        )
        await at.live()
        assert b"hello" in at.client.received
        assert at.report.provider == "b"
        assert at.client.head is not None
        assert at.client.head[1][b"x-provider"] == at.client.head[1][b"x-model"] == b"b"


async def test_the_client_has_company_through_every_call_and_every_wait(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    later = status(503, retry_after=7)
    async with chain(direct=direct, a=[later, later, WELL]) as at:
        await at.live()
        assert at.report.duration == pytest.approx(15.5, abs=1)
        assert at.client.received.startswith(b": hb\n: hb\n: hb\nid: " + ID.encode() + b"-1\n")
        assert at.client.received.count(b": hb\n") == 3
        assert at.text == "hello"


async def test_heartbeats_of_a_stream_that_said_nothing_go_on_through_the_next(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(
        direct=direct, a=[opens_and_is_silent], b=[opens_and_is_silent], c=[WELL]
    ) as at:
        await at.live()
        beats, _, rest = at.client.received.partition(b"id: ")
        assert beats == b": hb\n" * 4
        assert rest.startswith(ID.encode() + b"-1\n")
        assert at.text == "hello"
        assert at.report.chunks == 2
        assert at.client.head is not None
        assert {b"x-provider", b"x-model"}.isdisjoint(at.client.head[1])  # c was not known then


async def test_a_heartbeat_names_a_provider_if_nobody_else_may_answer(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[status(503, retry_after=7), WELL]) as at:
        await at.live()
        assert at.client.received.startswith(b": hb\n")
        assert at.client.head is not None
        assert at.client.head[1][b"x-provider"] == at.client.head[1][b"x-model"] == b"a"


async def test_a_failure_of_all_after_heartbeats_is_told_in_the_stream(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[silent], b=[opens_and_is_silent]) as at:
        await at.live()
        assert at.error["code"] == "first_chunk_timeout"
        assert b"[DONE]" not in at.client.received
        assert b"\nid: " + ID.encode() + b"-1\n" in at.client.received
        assert b"theirs" not in at.client.received
        assert at.report.outcome == "timeout"
        assert at.report.error == ("timeout_error", "provider_call")
        assert (at.report.provider, at.report.model) == ("a", "a")
        assert at.report.chunks == 0


@pytest.mark.parametrize("when", ["in the first wait", "in the second call"])
@pytest.mark.parametrize("who", ["the client leaves", "the service stops"])
async def test_who_ends_a_stream_ends_its_waits_and_calls_at_once(
    who: str, when: str, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    answers = [status(503, retry_after=6), silent]
    async with chain(direct=direct, a=answers) as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.live)
        await trio.sleep(2 if when == "in the first wait" else 8)
        assert at.asked == {"a": 1 if when == "in the first wait" else 2}
        at.services.returns.take()
        assert at.stream.holds_slot
        started = trio.current_time()
        if who == "the client leaves":
            at.client.leave()
        else:
            at.stream.interrupt(stopped())
        await at.stream.ended.wait()
        assert trio.current_time() == started
        assert at.report.end == ("client_left" if who == "the client leaves" else "stopping")


async def test_a_cancelled_wait_releases_everything_and_tells_the_client(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[status(503, retry_after=6)]) as at:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        assert at.report.end == "stopping"
        assert at.client.head is not None
        assert at.client.head[0] == 503


async def test_a_stream_that_ended_in_a_wait_leaves_nothing_to_the_collector() -> None:
    gc.disable()
    try:
        async with chain(a=[status(503, retry_after=6)]) as at, trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await trio.testing.wait_all_tasks_blocked()
            at.stream.interrupt(stopped())
            await at.stream.ended.wait()
        stream = weakref.ref(at.stream)
        at.client.unwatch()
        del at.stream
        assert stream() is None
    finally:
        gc.enable()


async def test_a_heartbeat_that_was_half_sent_is_whole_before_another_answers(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[opens_and_is_silent], b=[WELL]) as at:
        at.client.room = 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            await trio.sleep(4.6)
            at.scripts["a"].calls[0].connection.say(UpstreamFault("tls"))
            await trio.sleep(0.1)
            at.client.make_room(1 << 20)
        assert at.client.received.startswith(b": hb\nid: ")
        assert at.text == "hello"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (status(400), None),
        (status(422), None),
        (status(400, code="content_policy_violation"), "content_policy_violation"),
    ],
)
async def test_what_only_the_client_can_mend_is_told_at_once_and_nobody_else_is_asked(
    answer: Answer, code: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(a=[answer], b=[WELL]) as at:
        await at.live()
        assert at.asked == {"a": 1, "b": 0}
        assert at.error["message"] == "theirs"
        assert at.client.head is not None
        assert at.client.head[1][b"x-provider"] == b"a"


async def test_a_clients_mistake_that_is_told_in_the_answer_is_told_at_once_too(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    error = b'{"error": {"message": "theirs", "type": "invalid_request_error"}}'
    async with chain(direct=direct, a=[says(ROLE, b"data: %b\n\n" % error)], b=[WELL]) as at:
        await at.live()
    assert (at.asked, at.error["message"]) == ({"a": 1, "b": 0}, "theirs")
    assert at.report.http_status == 400


async def test_a_policys_refusal_by_a_fallback_is_told_as_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    refusal = status(400, code="content_filter")
    async with chain(a=[breaks("tls")], b=[refusal], c=[WELL]) as at:
        await at.live()
        assert at.asked == {"a": 1, "b": 1, "c": 0}
        assert at.error["message"] == "theirs"
        assert at.client.head is not None
        assert at.client.head[1][b"x-provider"] == b"b"
        assert at.report.provider == "a"


class Untranslatable:
    """A request that can be said to some formats only."""

    def __init__(self, *takers: str) -> None:
        self.takers = takers

    def body_for(
        self, provider_format: str, upstream_model: str | None, *, max_tokens: int
    ) -> bytes:
        del provider_format, max_tokens
        if upstream_model not in self.takers:
            raise Failure(
                "validation_error",
                "validation",
                "This cannot be said there.",
                status=400,
                code="untranslatable",
                param="tools",
            )
        return b"{}"


async def test_a_fallback_that_the_request_cannot_be_said_to_is_passed_by(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[breaks("tls")], b=[WELL], c=[WELL]) as at:
        asked = cast("Any", Untranslatable(cast("str", None), "c"))
        at.stream.job = msgspec.structs.replace(at.stream.job, asked=asked)
        await at.live()
        assert at.asked == {"a": 1, "b": 0, "c": 1}
        assert at.text == "hello"
        assert [each.provider for each in at.report.attempts] == ["a", "c"]


async def test_a_request_that_cannot_be_said_to_the_model_asked_for_is_the_clients_error(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[WELL], b=[WELL]) as at:
        asked = cast("Any", Untranslatable("b"))
        at.stream.job = msgspec.structs.replace(at.stream.job, asked=asked)
        await at.live()
        assert at.asked == {"a": 0, "b": 0}
        assert (at.error["code"], at.error["param"]) == ("untranslatable", "tools")
        assert at.report.outcome is None
        assert at.report.error == ("validation_error", "validation")
        assert at.report.attempts == ()


async def test_each_call_counts_once_and_the_request_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with chain(a=[status(503)], b=[WELL]) as at:
        await at.live()
        moved = updates(at.report)
        calls = [labels for name, labels, _ in moved if name == "sse_provider_requests_total"]
        assert calls == [("a", "failure")] * 3 + [("b", "success")]
        requests = [labels for name, labels, _ in moved if name == "sse_requests_total"]
        assert requests == [("success", "b", "b")]
        assert not [name for name, *_ in moved if name == "sse_errors_total"]
        told = [(each.http_status, each.code) for each in at.report.attempts]
        assert told == [(503, "provider_unavailable")] * 3 + [(200, "")]


async def test_without_a_rescue_nothing_is_asked_again_once_the_client_has_had_a_byte_of_the_answer(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with chain(direct=direct, a=[says(event("a"), UpstreamFault("cut"))], b=[WELL]) as at:
        at.stream.services = msgspec.structs.replace(
            at.services, rescue=RescueSettings(enabled=False)
        )
        await at.live()
        assert at.asked == {"a": 1, "b": 0}
        assert at.error["code"] == "provider_cut"
