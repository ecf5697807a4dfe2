"""One stream's bytes, on fakes and virtual time: by the pump, and by the task alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from tests.actors.fakes import FakeClient, FakePoller, FakeUpstream

from sluice.actors.failures import ClientStalled, Failure, UpstreamFault
from sluice.actors.formats.format import Chunk
from sluice.actors.formats.openai import OpenAIProvider
from sluice.actors.settings import Timeouts
from sluice.actors.streams.flow import Flow
from sluice.actors.streams.pump import Pump
from sluice.actors.streams.scan import Scan
from sluice.http.formats.openai_format import OpenAIClient

TIMEOUTS = Timeouts(first_chunk=10, idle=30, total=100, client_write=5, heartbeat=15)
ID = "0123456789abcdef0123456789abcdef"


def chunk(text: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


def event(text: str) -> bytes:
    return b"data: " + chunk(text) + b"\n\n"


def numbered(n: int, data: bytes) -> bytes:
    return b"id: %b-%d\ndata: %b\n\n" % (ID.encode(), n, data)


class Bench:
    """A flow between two fakes, moved by a pump on a fake poller."""

    def __init__(self, timeouts: Timeouts, *, direct: bool, room: int) -> None:
        self.poller = FakePoller()
        self.faults: list[BaseException] = []
        self.pump = Pump(lambda: self.poller, self.faults.append)
        self.scan = Scan(0.5)
        self.upstream = FakeUpstream(self.poller)
        self.client = FakeClient(direct=direct, room=room)
        self.opened = 0
        self.flow = Flow(
            ID,
            self.upstream,
            self.client,
            provider_format=OpenAIProvider(),
            client_format=OpenAIClient(usage=False),
            timeouts=timeouts,
            pump=self.pump,
            called_at=trio.current_time(),
            opening=self.opening,
        )

    def opening(self) -> bytes:
        if self.client.head is None:
            self.client.start(200, [])
            self.opened += 1
        return b""

    look_at = 0.0

    def on_due(self, now: float) -> None:
        """The scan looks at the flow every time: what it does must not depend on the hint."""
        if now >= self.flow.due():
            self.flow.on_due(now)

    async def next(self) -> None:
        await self.flow.next()

    async def relay(self) -> None:
        flow = self.flow
        while not flow.ended:
            await flow.next()
            if flow.failure is not None:
                raise flow.failure
            if flow.pending and not flow.ended:
                await flow.flush()
        await flow.finish()


@asynccontextmanager
async def bench(
    timeouts: Timeouts = TIMEOUTS, *, direct: bool = True, room: int = 1 << 30
) -> AsyncIterator[Bench]:
    made = Bench(timeouts, direct=direct, room=room)
    made.scan.add(made)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.pump.run)
        nursery.start_soon(made.scan.run)
        yield made
        nursery.cancel_scope.cancel()


@pytest.fixture(params=[True, False], ids=["by the pump", "by the task"])
def direct(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_every_event_arrives_once_in_order_with_an_id_and_then_the_end_marker(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct) as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.relay)
        for text in "abc":
            at.upstream.say(event(text))
            await trio.testing.wait_all_tasks_blocked()
        assert at.client.received == b"".join(numbered(i, chunk(t)) for i, t in enumerate("abc", 1))
        at.upstream.end(b"data: [DONE]\n\n")
    assert at.client.received.endswith(numbered(4, b"[DONE]"))
    assert at.client.ended
    assert at.opened == 1
    assert at.flow.chunks == 3


async def test_bytes_split_anywhere_make_the_same_events(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    whole = event("aé") + b": ping\n\n" + event("b") + b"data: [DONE]\r\n\r\n"
    expected = b"".join(
        numbered(i, d) for i, d in enumerate((chunk("aé"), chunk("b"), b"[DONE]"), 1)
    )
    for cut in range(1, len(whole)):
        async with bench(direct=direct) as at, trio.open_nursery() as nursery:
            nursery.start_soon(at.relay)
            at.upstream.say(whole[:cut])
            await trio.testing.wait_all_tasks_blocked()
            at.upstream.end(whole[cut:])
        assert at.client.received == expected


async def test_a_providers_own_id_and_retry_are_replaced_and_its_event_name_is_dropped_never_ours(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench() as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.relay)
        at.upstream.end(b"id: 7\nretry: 5\ndata: " + chunk("a") + b"\n\ndata: [DONE]\n\n")
    assert at.client.received == numbered(1, chunk("a")) + numbered(2, b"[DONE]")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([b"data: {nonsense\n\n"], "malformed_chunk"),
        ([b'data: {"error": {"message": "overloaded"}}\n\n'], "provider_error_in_stream"),
        ([UpstreamFault("reset")], "provider_reset"),
        ([UpstreamFault("cut")], "provider_cut"),
        ([b"data: " + b"x" * (2 << 20)], "provider_frame_too_large"),
    ],
)
async def test_a_broken_stream_ends_with_one_error_and_no_end_marker(
    said: list[bytes | Exception], code: str, direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct) as at:
        at.upstream.say(event("a"), *said)
        with pytest.raises(Failure) as caught:
            await at.relay()
        assert caught.value.code == code
        await at.flow.fail(caught.value, 1)
    events = at.client.received.split(b"\n\n")
    assert numbered(1, chunk("a")) == events[0] + b"\n\n"
    assert b'"error"' in events[1]
    assert events[2:] == [b""]
    assert b"[DONE]" not in at.client.received
    assert at.client.ended


async def test_a_body_that_ends_well_without_an_end_marker_is_a_failure(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct) as at:
        at.upstream.end(event("a"))
        with pytest.raises(Failure) as caught:
            await at.relay()
    assert caught.value.code == "provider_no_end"
    assert at.client.received + at.flow.pending == numbered(1, chunk("a"))


async def test_a_client_that_takes_little_gets_every_byte_in_order_and_the_provider_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    texts = [str(n) * 50 for n in range(10)]
    async with bench(room=10) as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.relay)
        at.upstream.say(*[event(text) for text in texts])
        await trio.testing.wait_all_tasks_blocked()
        assert len(at.client.received) == 10
        assert at.upstream.fd not in at.poller.registered
        at.upstream.end(b"data: [DONE]\n\n")
        for _ in range(300):
            at.client.make_room(7)
            await trio.testing.wait_all_tasks_blocked()
    payloads = [chunk(text) for text in texts] + [b"[DONE]"]
    assert at.client.received == b"".join(numbered(i, d) for i, d in enumerate(payloads, 1))


async def test_a_client_that_takes_nothing_for_client_write_seconds_is_given_up(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct, room=10) as at:
        at.upstream.say(event("a"))
        started = trio.current_time()
        with pytest.raises(ClientStalled):
            await at.relay()
        assert trio.current_time() - started == pytest.approx(TIMEOUTS.client_write, abs=1)


async def test_a_client_that_left_is_noticed_at_the_next_write(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench() as at:
        at.client.left = True
        at.upstream.say(event("a"))
        await at.flow.next()
        assert at.flow.client_left


async def test_a_silent_provider_is_given_up_after_idle_and_its_client_kept_company_until_then(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct) as at:
        at.upstream.say(event("a"))
        started = trio.current_time()
        with pytest.raises(Failure) as caught:
            await at.relay()
        assert caught.value.code == "idle_timeout"
        assert trio.current_time() - started == pytest.approx(TIMEOUTS.idle, abs=1)
    assert at.client.received == numbered(1, chunk("a")) + b": hb\n"


async def test_heartbeats_re_arm_nothing_and_pings_re_arm_idle_but_not_first_chunk(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct) as at:

        async def ping() -> None:
            while True:
                at.upstream.say(b": ping\n\n")
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            started = trio.current_time()
            with pytest.raises(Failure) as caught:
                await at.relay()
            assert caught.value.code == "first_chunk_timeout"
            assert trio.current_time() - started == pytest.approx(TIMEOUTS.first_chunk, abs=1)
            nursery.cancel_scope.cancel()


async def test_a_stream_that_never_ends_is_ended_after_total(
    direct: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench(direct=direct) as at:

        async def talk() -> None:
            while True:
                at.upstream.say(event("a"))
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            started = trio.current_time()
            with pytest.raises(Failure) as caught:
                await at.relay()
            assert caught.value.code == "total_timeout"
            assert trio.current_time() - started == pytest.approx(TIMEOUTS.total, abs=1)
            nursery.cancel_scope.cancel()


async def test_a_mistake_of_ours_ends_this_stream_with_an_error_instead_of_losing_an_event(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench() as at:

        class Mistaken(OpenAIClient):
            def render(self, said: bytes, chunk: Chunk) -> bytes:
                raise ZeroDivisionError

        at.flow._render = Mistaken(usage=False).render
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.flow.next)
            await trio.testing.wait_all_tasks_blocked()
            at.upstream.say(event("a"))
        assert at.flow.failure is not None
        assert at.flow.failure.code == "internal_error"
        assert len(at.faults) == 1


async def test_a_flow_goes_on_by_its_task_when_the_pump_fails_under_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench() as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.relay)
        at.upstream.say(event("a"))
        await trio.testing.wait_all_tasks_blocked()
        at.pump._make_poller = lambda: at.poller
        at.poller.fault = OSError("gone")
        at.poller.poke()
        await trio.testing.wait_all_tasks_blocked()
        at.upstream.end(event("b") + b"data: [DONE]\n\n")
    payloads = [chunk("a"), chunk("b"), b"[DONE]"]
    assert at.client.received == b"".join(numbered(i, d) for i, d in enumerate(payloads, 1))


async def test_a_cancelled_flow_is_out_of_the_pump(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench() as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.relay)
        await trio.testing.wait_all_tasks_blocked()
        assert at.upstream.fd in at.poller.registered
        nursery.cancel_scope.cancel()
    assert at.upstream.fd not in at.poller.registered
