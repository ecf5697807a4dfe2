"""A stream's life, on fakes and virtual time: how it ends, what is told, what is given back."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio.testing
from tests.actors.fakes import UNLIMITED, FakeClient, FakePoller, FakeUpstream

from sluice.actors.failures import UpstreamFault
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.limits.callers import Caller
from sluice.actors.limits.limiter import Limiter
from sluice.actors.metrics.reports import RequestReport
from sluice.actors.providers.upstream_failures import stopped
from sluice.actors.settings import LimitSettings, ModelSettings, Rate, RetrySettings, Timeouts
from sluice.actors.slots.connections import Acquire, Granted, Refused
from sluice.actors.slots.returns import Returns
from sluice.actors.streams.job import Job, Services
from sluice.actors.streams.pump import Pump
from sluice.actors.streams.relay import live
from sluice.actors.streams.scan import Scan
from sluice.actors.streams.stream import Stream, header_name_of
from sluice.engine import ActorCrashed, ActorStopped, AskTimeout, MailboxFull
from sluice.http.formats.openai_format import OpenAIClient
from sluice.http.formats.openai_request import AskedInOpenAI

ID = "0123456789abcdef0123456789abcdef"
TIMEOUTS = Timeouts(connect=5, first_chunk=10, idle=30, total=100, client_write=5, heartbeat=4)


def event(text: str) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


END = b"data: [DONE]\n\n"


class FakeConnections:
    """The connection manager, as far as a stream meets it."""

    def __init__(self) -> None:
        self.replies: list[object] = []

    async def ask(self, message: object, timeout: float = 5.0) -> object:
        assert isinstance(message, Acquire)
        await trio.lowlevel.checkpoint()
        reply = self.replies.pop(0) if self.replies else Granted()
        if isinstance(reply, Exception):
            raise reply
        return reply


class FakeCall:
    def __init__(self, connection: FakeUpstream) -> None:
        self.connection = connection
        self.status = 200
        self.content_type = "text/event-stream"
        self.retry_after: float | None = None
        self.error_body = b""
        self.error_silence = 0.0
        self.done: list[bool] = []

    async def pass_time(self, seconds: float) -> None:
        """As a wait for the provider does: it ends when its connection is closed."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(seconds):
            await self.connection.closed.wait()
        if self.connection.closed.is_set():
            raise trio.ClosedResourceError

    async def read_error_body(self, patience: float) -> bytes:
        with trio.move_on_after(patience):
            await self.pass_time(self.error_silence)
            return self.error_body
        return b""


class FakeProvider:
    """A provider that answers after ``silence`` seconds."""

    name = "openai"
    format = OpenAIProvider()

    def __init__(self, call: FakeCall) -> None:
        self.answer = call
        self.silence = 0.0
        self.fault: Exception | None = None
        self.bodies: list[bytes] = []

    async def call(
        self, body: bytes, *, streamed: bool, timeouts: Timeouts, hold: Callable[..., None]
    ) -> FakeCall:
        self.bodies.append(body)
        hold(self.answer.connection.close)
        await self.answer.pass_time(self.silence)
        if self.fault is not None:
            raise self.fault
        return self.answer

    def without_secrets(self, body: bytes) -> bytes:
        return body

    def done(self, call: FakeCall, *, well: bool = False) -> None:
        call.done.append(well)


class World:
    """One stream and all that it touches."""

    def __init__(self, nursery: trio.Nursery, *, streamed: bool, direct: bool) -> None:
        self.poller = FakePoller()
        self.faults: list[BaseException] = []
        self.upstream = FakeUpstream(self.poller)
        self.call = FakeCall(self.upstream)
        if not streamed:
            self.call.content_type = "application/json"
        self.provider = FakeProvider(self.call)
        self.connections = FakeConnections()
        self.returns = Returns()
        self.unseen = False
        """The connection manager has never seen the request, or refused it."""
        self.client = FakeClient(direct=direct)
        self.reports: list[RequestReport] = []
        self.services = Services(
            limiter=Limiter(UNLIMITED, None),
            connections=cast("Any", self.connections),
            returns=self.returns,
            providers=cast("Any", {"openai": self.provider}),
            pump=Pump(lambda: self.poller, self.faults.append),
            scan=Scan(0.25),
            spawn=nursery.start_soon,
            report=self.reports.append,
            on_fault=self.faults.append,
            retries=RetrySettings(attempts=0),
        )
        job = Job(
            request_id="r1",
            route="/v1/chat/completions",
            model=ModelSettings("gpt", "openai", timeouts=TIMEOUTS),
            streamed=streamed,
            asked=AskedInOpenAI({}, streamed),
            format=OpenAIClient(usage=False),
            caller=Caller("ip", "127.0.0.1"),
            arrived=trio.current_time(),
            validated=trio.current_time(),
        )
        self.stream = Stream(ID, job, self.client, self.services)

    async def live(self) -> None:
        await live(self.stream)

    @property
    def report(self) -> RequestReport:
        (report,) = self.reports
        return report

    def check_released(self) -> None:
        """Whatever happened: the slot is back, the connection is back, nothing is watched."""
        assert self.returns.take() == ([] if self.unseen else [ID])
        assert len(self.call.done) <= 1
        assert len(self.services.scan) == 0
        assert not self.poller.registered
        assert self.client._on_left is None
        assert self.stream.ended.is_set()


@asynccontextmanager
async def world(*, streamed: bool = True, direct: bool = True) -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        made = World(nursery, streamed=streamed, direct=direct)
        nursery.start_soon(made.services.pump.run)
        nursery.start_soon(made.services.scan.run)
        yield made
        nursery.cancel_scope.cancel()
    made.check_released()


@pytest.fixture(params=[True, False], ids=["by the pump", "by the task"])
def direct(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_whole_stream_is_a_success_and_its_connection_comes_back_well(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at:
        at.upstream.end(event("a") + event("b") + END)
        await at.live()
        assert at.client.head is not None
        status, headers = at.client.head
        assert status == 200
        assert headers[b"x-stream-id"] == ID.encode()
        assert headers[b"x-request-id"] == b"r1"
        assert headers[b"x-cache"] == b"MISS"
        assert headers[b"x-provider"] == b"openai"
        assert headers[b"cache-control"] == b"no-cache, no-transform"
        assert at.client.received.endswith(b"data: [DONE]\n\n")
        assert at.client.ended
        assert at.call.done == [True]
        assert at.report.outcome == "success"
        assert at.report.end == "complete"
        assert at.report.chunks == 2
        assert [a.status for a in at.report.attempts] == ["success"]
        assert at.report.attempts[0].latency is not None


async def test_a_whole_answer_is_handed_on_in_one_piece(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(streamed=False) as at:
        at.upstream.say(b'{"choices": ')
        at.upstream.end(b"[]}")
        await at.live()
        assert at.client.received == b'{"choices": []}'
        assert at.report.outcome == "success"
        assert at.report.http_status == 200
        assert at.report.first_chunk is None


async def test_a_whole_answer_that_is_no_completion_is_an_error(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(streamed=False) as at:
        at.upstream.end(b"<html>")
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == 502
        assert at.report.outcome == "failure"
        assert at.report.error == ("serialization_error", "provider_call")


async def test_past_its_limit_a_request_asks_for_no_slot_and_for_no_provider(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        limiter, job = at.services.limiter, at.stream.job
        limiter.limits = LimitSettings(ip=Rate(1, "minute"))
        await limiter.take(job.caller, limiter.patience())
        await trio.sleep(20)
        at.unseen = True
        await at.live()
        assert at.client.head is not None
        status, headers = at.client.head
        assert status == 429
        assert headers[b"retry-after"] == headers[b"ratelimit-reset"] == b"40"
        assert (headers[b"ratelimit-limit"], headers[b"ratelimit-remaining"]) == (b"1", b"0")
        assert at.provider.bodies == []
        assert (at.report.outcome, at.report.error) == (None, None)
        assert (at.report.limited_by, at.report.end) == ("ip", "rate_limit_exceeded")
        assert at.report.caller == job.caller


async def test_within_its_limit_the_answer_tells_what_remains(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        at.services.limiter.limits = LimitSettings(ip=Rate(3, "minute"))
        at.upstream.end(event("a") + END)
        await at.live()
        assert at.client.head is not None
        status, headers = at.client.head
        assert (status, headers[b"ratelimit-remaining"]) == (200, b"2")
        assert ("admission", "limit", 0.0) in at.report.substages


async def test_without_a_slot_the_answer_is_429_with_retry_after_and_no_provider_is_called(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        at.connections.replies = [Refused(3.2)]
        at.unseen = True
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == 429
        assert at.client.head[1][b"retry-after"] == b"4"
        assert at.provider.bodies == []
        assert at.report.outcome is None
        assert at.report.error == ("connection_pool_exhausted", "admission")


async def test_a_failure_that_cannot_be_told_by_a_mistake_of_ours_is_reported_all_the_same(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as at:

        def mistaken(*_: object) -> bytes:
            raise KeyError("ours")

        monkeypatch.setattr(at.stream.job.format, "failure_body", mistaken)
        at.provider.fault = UpstreamFault("refused")
        await at.live()
        assert [type(fault) for fault in at.faults] == [KeyError]
        assert at.client.aborted
        assert at.report.end == "provider_refused"


async def test_a_manager_that_crashed_on_us_is_asked_once_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        at.connections.replies = [ActorCrashed("connections", "it died")]
        at.upstream.end(event("a") + END)
        await at.live()
        assert at.report.outcome == "success"


@pytest.mark.parametrize(
    ("error", "unseen"), [(AskTimeout, False), (MailboxFull, True), (ActorStopped, True)]
)
async def test_a_manager_that_does_not_answer_costs_the_request_and_never_a_slot(
    error: Callable[[str, str], Exception], unseen: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as at:
        at.connections.replies = [error("connections", "no")]
        at.unseen = unseen
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == 503


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("refused", 502, "provider_refused"), ("connect_timeout", 504, "connect_timeout")],
)
async def test_a_provider_that_cannot_be_reached_is_a_status_of_its_own(
    fault: str, status: int, code: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as at:
        at.provider.fault = UpstreamFault(fault)
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == status
        assert json.loads(at.client.received)["error"]["code"] == code
        assert at.report.end == code
        assert len(at.report.attempts) == 1


@pytest.mark.parametrize(
    ("theirs", "ours"), [(400, 400), (401, 502), (404, 404), (429, 429), (500, 502), (503, 503)]
)
async def test_a_providers_error_becomes_one_that_the_client_can_use(
    theirs: int, ours: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as at:
        at.call.status = theirs
        at.call.error_body = b'{"error": {"message": "theirs"}}'
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == ours
        assert (b"retry-after" in at.client.head[1]) == (ours in {429, 503})
        assert at.call.done == [False]
        assert at.report.outcome == "failure"


async def test_a_wrong_content_type_is_an_error_and_not_passed_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        at.call.content_type = "text/html"
        at.upstream.end(b"<html>")
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == 502
        assert b"html" not in at.client.received


async def test_a_failure_after_the_first_byte_is_one_frame_without_an_end_marker(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at:
        at.upstream.say(event("a"), UpstreamFault("cut"))
        await at.live()
        assert at.client.received.count(b'"error"') == 1
        assert b"[DONE]" not in at.client.received
        assert at.client.ended
        assert not at.client.aborted
        assert at.report.outcome == "failure"
        assert at.report.http_status == 200
        assert at.report.error == ("provider_error", "streaming")
        assert at.call.done == [False]


async def test_a_provider_that_is_silent_before_its_head_gets_company_and_then_a_timeout(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at:
        at.provider.silence = 1000
        await at.live()
        assert at.client.received.startswith(b": hb\n: hb\nid: ")
        assert at.client.received.count(b'"error"') == 1
        assert at.report.end == "first_chunk_timeout"
        assert at.report.outcome == "timeout"
        assert at.report.duration == pytest.approx(TIMEOUTS.first_chunk, abs=1)
        assert [a.status for a in at.report.attempts] == ["timeout"]


async def test_a_slow_head_after_heartbeats_still_brings_the_whole_answer(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at:
        at.provider.silence = 6
        at.upstream.end(event("a") + END)
        await at.live()
        assert at.client.received.startswith(b": hb\nid: " + ID.encode() + b"-1\n")
        assert at.report.end == "complete"


async def test_a_whole_answer_may_take_longer_than_first_chunk_but_not_than_total(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(streamed=False) as at:
        at.provider.silence = 1000
        await at.live()
        assert at.report.duration == pytest.approx(TIMEOUTS.total, abs=1)
        assert at.client.head is not None
        assert at.client.head[0] == 504
        assert at.report.outcome == "timeout"


@pytest.mark.parametrize("when", ["before the slot", "before the head", "in the stream"])
async def test_a_client_that_leaves_frees_everything_at_once_and_is_no_failure(
    when: str, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at, trio.open_nursery() as nursery:
        if when == "before the slot":
            at.unseen = True  # it has left before it is asked for
            at.client.leave()
        if when == "before the head":
            at.provider.silence = 1000
        started = trio.current_time()
        nursery.start_soon(at.live)
        await trio.testing.wait_all_tasks_blocked()
        if when == "in the stream":
            at.upstream.say(event("a"))
            await trio.testing.wait_all_tasks_blocked()
        at.client.leave()
        await at.stream.ended.wait()
        assert trio.current_time() == started
        assert at.client.aborted
        assert at.report.outcome == "success"
        assert at.report.end == "client_left"
        assert at.report.error is None
        assert at.call.done == ([False] if when == "in the stream" else [])


async def test_a_client_that_stops_reading_is_cut_after_client_write_and_counts_as_a_timeout(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at:
        at.client.room = 10
        at.upstream.say(event("a"))
        await at.live()
        assert at.client.aborted
        assert at.report.outcome == "timeout"
        assert at.report.end == "client_stalled"
        assert at.report.duration == pytest.approx(TIMEOUTS.client_write, abs=1)


async def test_a_stream_that_we_stop_ends_with_an_honest_error(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.live)
        at.upstream.say(event("a"))
        await trio.testing.wait_all_tasks_blocked()
        at.stream.interrupt(stopped())
        await at.stream.ended.wait()
        assert at.client.received.count(b'"error"') == 1
        assert at.client.ended
        assert at.report.end == "stopping"


async def test_who_is_being_told_of_a_failure_is_not_cut_by_an_end_that_comes_too_late(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at, trio.open_nursery() as nursery:
        at.upstream.say(event("a"))
        nursery.start_soon(at.live)
        await trio.testing.wait_all_tasks_blocked()
        at.client.room = 10
        at.upstream.end()  # without an end marker
        await trio.testing.wait_all_tasks_blocked()
        assert at.client.sending
        at.stream.interrupt(stopped())
        at.client.make_room(1 << 20)
        await at.stream.ended.wait()
        assert at.client.received.count(b'"error"') == 1
        assert not at.client.aborted
        assert at.report.end == "provider_no_end"


async def test_a_stream_that_was_interrupted_leaves_nothing_to_the_collector() -> None:
    gc.disable()
    try:
        async with world(direct=True) as at, trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            at.upstream.say(event("a"))
            await trio.testing.wait_all_tasks_blocked()
            at.stream.interrupt(stopped())
            await at.stream.ended.wait()
        stream = weakref.ref(at.stream)
        at.client.unwatch()
        del at.stream
        assert stream() is None
    finally:
        gc.enable()


async def test_a_stream_whose_task_is_cancelled_tells_its_client_too(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.live)
            at.upstream.say(event("a"))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert at.client.received.count(b'"error"') == 1
        assert at.client.ended
        assert at.report.end == "stopping"


async def test_a_mistake_of_ours_is_told_to_the_client_and_logged(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        at.provider.fault = RuntimeError("a mistake")
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == 500
        assert [str(fault) for fault in at.faults] == ["a mistake"]
        assert at.report.end == "internal_error"


async def test_a_stream_that_ended_with_an_error_the_client_does_not_take_is_cut(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at, trio.open_nursery() as nursery:
        at.client.room = 150
        nursery.start_soon(at.live)
        at.upstream.say(event("a"))
        await trio.testing.wait_all_tasks_blocked()
        at.client.room = 0
        at.upstream.say(UpstreamFault("reset"))
        await at.stream.ended.wait()
        assert at.client.aborted


async def test_total_ends_a_stream_although_its_client_takes_a_little_all_the_time(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(direct=direct) as at, trio.open_nursery() as nursery:
        at.client.room = 0

        async def talk() -> None:
            while True:
                at.upstream.say(event("a" * 1000))
                at.client.make_room(20)
                await trio.sleep(1)

        nursery.start_soon(talk)
        started = trio.current_time()
        await at.live()
        nursery.cancel_scope.cancel()
        assert trio.current_time() - started == pytest.approx(TIMEOUTS.total, abs=3)
        assert at.report.end == "total_timeout"
        assert at.report.outcome == "timeout"


async def test_an_error_whose_body_never_comes_is_told_by_its_status(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as at:
        at.call.status = 429
        at.call.error_silence = 1000
        await at.live()
        assert at.client.head is not None
        assert at.client.head[0] == 429
        assert at.report.duration < 5


async def test_a_whole_answer_that_stops_in_the_middle_is_given_up_after_idle(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(streamed=False) as at:
        at.upstream.say(b'{"choi')
        await at.live()
        assert at.report.duration == pytest.approx(TIMEOUTS.idle, abs=1)
        assert at.report.end == "idle_timeout"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b'event: error\ndata: {"message": "boom"}\n\n', "provider_error_in_stream"),
        (b'data: {"detail": "rate limited"}\n\n', "malformed_chunk"),
        (b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n', "malformed_chunk"),
        (b'data: {"choices": [{"delta": 5}]}\n\n', "malformed_chunk"),
        (b'data: {"choices": null}\n\n', "malformed_chunk"),
        (b'data: {"error": {"message": "boom"}}\n\n', "provider_error_in_stream"),
    ],
)
@pytest.mark.parametrize("first", [b"", event("a")], ids=["at once", "after content"])
async def test_what_is_no_chunk_is_an_error_and_never_followed_by_an_end_marker(
    first: bytes, said: bytes, code: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as at:
        at.upstream.end(first + said + END)
        await at.live()
        assert at.report.end == code
        assert at.report.outcome == "failure"
        assert b"[DONE]" not in at.client.received


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ModelSettings("gpt", "openai", upstream_model="gpt-4o"), b"gpt"),
        (ModelSettings("gpt-*", "openai", upstream_model="gpt-4o"), b"gpt-4o"),
        (ModelSettings("gpt-*", "openai", upstream_model="gpt-\r\nx-evil: 1"), b"gpt-*"),
        (ModelSettings("gpt-*", "openai", upstream_model="gpt-\N{SNOWMAN}"), b"gpt-*"),
        (ModelSettings("gpt-*", "openai", upstream_model="gpt-" + "4" * 197), b"gpt-*"),
        (ModelSettings("*", "openai", upstream_model=" gpt "), b"gpt"),
    ],
)
def test_an_answer_names_its_model_also_if_a_pattern_found_it_and_nothing_else(
    model: ModelSettings, said: bytes
) -> None:
    assert header_name_of(model) == said
