"""Calling a provider, on loopback, with its actor in a system of its own."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
import trio
from tests.actors.upstream.loopback import (
    Handler,
    authority,
    body_of,
    chunked,
    counted,
    field,
    keeps_saying,
    open_sockets,
    read_request,
    says,
    served,
    server_tls,
    until,
)

from sluice.actors.failures import UpstreamFault
from sluice.actors.providers import provider_actor
from sluice.actors.providers.provider import (
    ERROR_BODY_LIMIT,
    Call,
    Provider,
    ProviderClient,
    ProviderStatistics,
    Shelf,
    completions_url,
)
from sluice.actors.settings import ProviderSettings, Secret, Timeouts
from sluice.engine import ChildSpec, Message, SupervisorSpec, System, handler, open_system

BODY = b'{"model":"m"}'


class Crash(Message[None], frozen=True):
    """Raise."""


class CrashingProvider(Provider):
    @handler
    def crash(self, _message: Crash) -> None:
        raise ZeroDivisionError


class World:
    """One provider on loopback, its actor, its client."""

    def __init__(self, system: System, settings: ProviderSettings, shelf: Shelf) -> None:
        self.system = system
        self.shelf = shelf
        self.client = ProviderClient(settings, system.ref("openai"), shelf)

    @property
    def pool(self) -> ProviderStatistics:
        return self.shelf.statistics()

    async def call(self, *, streamed: bool = True) -> Call:
        return await self.client.call(BODY, streamed=streamed, timeouts=Timeouts(connect=5))

    async def ask(self) -> bytes:
        """One call, from its beginning to its end."""
        call = await self.call()
        try:
            return await body_of(call.connection)
        finally:
            self.client.done(call)


@asynccontextmanager
async def world(
    handler: Handler, *, secure: bool = False, **changes: object
) -> AsyncIterator[World]:
    async with served(handler, server_tls() if secure else None) as origin:
        scheme = "https" if secure else "http"
        settings = ProviderSettings("openai", f"{scheme}://127.0.0.1:{origin.port}/v1")
        settings = msgspec.structs.replace(settings, **changes)
        shelf = Shelf(settings)
        child = ChildSpec("openai", partial(CrashingProvider, shelf))
        async with open_system(SupervisorSpec("root", [child], intensity=100)) as system:
            yield World(system, settings, shelf)


# -- what is sent --------------------------------------------------------------------------------


async def seen(
    *,
    streamed: bool = True,
    api_key: Secret | None = None,
    format: str = "openai",  # noqa: A002 -- the setting's name
) -> bytes:
    """The request as the provider sees it."""
    requests = []

    async def server(stream: trio.abc.Stream) -> None:
        requests.append(await read_request(stream))
        await stream.send_all(counted(b""))

    async with world(server, api_key=api_key, format=format) as each:
        each.client.done(await each.call(streamed=streamed))
    return requests[0]


async def test_the_provider_sees_our_own_headers_only() -> None:
    request = await seen(api_key=Secret("sk-1"))
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert body == BODY
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert sorted(names) == [
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"user-agent",
    ]
    assert field(head, b"authorization") == b"Bearer sk-1"
    assert field(head, b"accept-encoding") == b"identity"
    assert field(head, b"content-type") == b"application/json"
    assert field(head, b"user-agent").startswith(b"sluice/")


async def test_anthropic_is_called_at_its_route_with_its_headers() -> None:
    head, _, _ = (await seen(api_key=Secret("sk-1"), format="anthropic")).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert field(head, b"x-api-key") == b"sk-1"
    assert field(head, b"anthropic-version") == b"2023-06-01"
    assert field(head, b"authorization") == b""


@pytest.mark.parametrize(
    ("provider_format", "base_url", "url"),
    [
        ("openai", "https://h/v1", "https://h/v1/chat/completions"),
        ("openai", "https://h/", "https://h/chat/completions"),
        ("anthropic", "https://h", "https://h/v1/messages"),
        ("anthropic", "https://h/v1/", "https://h/v1/messages"),
        ("anthropic", "https://h/proxy", "https://h/proxy/v1/messages"),
        ("cohere", "https://h", "https://h/v2/chat"),
        ("cohere", "https://h/v2", "https://h/v2/chat"),
    ],
)
def test_a_base_url_may_be_given_with_the_version_or_as_the_official_sdk_takes_it(
    provider_format: str, base_url: str, url: str
) -> None:
    assert str(completions_url(base_url, provider_format)) == url


async def test_a_stream_is_asked_for_as_a_stream_and_a_whole_answer_as_json() -> None:
    assert field(await seen(streamed=True), b"accept") == b"text/event-stream"
    assert field(await seen(streamed=False), b"accept") == b"application/json"


async def test_without_a_key_no_authorization_is_sent() -> None:
    assert field(await seen(), b"authorization") == b""


@pytest.mark.parametrize("key", ["sk\r\nX: y", "sk\n", "schlüssel", "sk\0"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    settings = ProviderSettings("openai", "http://127.0.0.1/v1", api_key=Secret(key))
    with pytest.raises(ValueError, match="API key") as refusal:
        ProviderClient(settings, None, Shelf(settings))  # type: ignore[arg-type]
    assert key not in str(refusal.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "127.0.0.1", "http://", "http://a:b/"])
def test_a_url_that_cannot_be_called_is_refused(url: str) -> None:
    settings = ProviderSettings("openai", url)
    with pytest.raises(ValueError, match="no URL that can be called"):
        ProviderClient(settings, None, Shelf(settings))  # type: ignore[arg-type]


# -- what is answered ----------------------------------------------------------------------------


async def test_a_call_tells_status_type_and_time_to_come_back() -> None:
    answer = (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: Application/JSON; charset=utf-8\r\n"
        b"Retry-After: 7\r\nContent-Length: 2\r\n\r\n{}"
    )
    async with world(says(answer)) as each:
        call = await each.call()
        assert (call.status, call.content_type, call.retry_after) == (429, "application/json", 7.0)
        assert await call.read_error_body() == b"{}"
        assert repr(call).startswith("<Call 429 <UpstreamConnection ")
        each.client.done(call)


async def test_without_a_time_to_come_back_there_is_none() -> None:
    async with world(says(counted(b""))) as each:
        call = await each.call()
        assert (call.content_type, call.retry_after) == ("", None)
        each.client.done(call)


async def test_an_error_body_is_read_as_far_as_it_comes_and_bounded() -> None:
    async with world(says(counted(b"half of it")[:-5])) as each:
        call = await each.call()
        assert await call.read_error_body() == b"half "
        each.client.done(call)
    async with world(says(counted(b"x" * (ERROR_BODY_LIMIT + 10_000)))) as each:
        call = await each.call()
        assert await call.read_error_body() == b"x" * ERROR_BODY_LIMIT
        each.client.done(call)


async def test_an_error_body_that_does_not_end_is_what_came_of_it_in_time() -> None:
    async def never_ends(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(chunked(b"all of it", end=b""))
        await trio.sleep_forever()

    async with world(never_ends) as each:
        call = await each.call()
        assert await call.read_error_body(0.3) == b"all of it"
        each.client.done(call)


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity, gzip"])
async def test_a_content_coding_that_was_not_asked_for_is_a_fault(coding: bytes) -> None:
    before = open_sockets()
    async with world(says(counted(b"x", b"Content-Encoding: %b\r\n" % coding))) as each:
        with pytest.raises(UpstreamFault, match="protocol"):
            await each.call()
        assert each.client.statistics().open_calls == 0
    assert open_sockets() == before


async def test_identity_said_aloud_is_no_coding() -> None:
    async with world(says(counted(b"x", b"Content-Encoding: identity\r\n"))) as each:
        assert await each.ask() == b"x"


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    answer = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with world(says(answer)) as each:
        call = await each.call()
        assert call.status == 307
        each.client.done(call)


async def test_faults_are_told_in_our_own_words() -> None:
    for answer, reason in [(b"", "cut"), (b"SSH-2.0\r\n", "protocol")]:
        async with world(says(answer)) as each:
            with pytest.raises(UpstreamFault) as caught:
                await each.call()
            assert caught.value.reason == reason
    async with world(says(b""), base_url="http://127.0.0.1:1/v1") as each:
        with pytest.raises(UpstreamFault, match="refused"):
            await each.call()
    async with world(says(b""), secure=True) as each:
        with pytest.raises(UpstreamFault, match="tls"):
            await each.call()


async def test_a_provider_may_have_an_authority_of_its_own() -> None:
    with authority().cert_pem.tempfile() as path:
        async with world(keeps_saying(counted(b"hello")), secure=True, ca_file=path) as each:
            assert [await each.ask(), await each.ask()] == [b"hello", b"hello"]
            assert each.client.statistics().dials == 1


# -- connections between two calls ---------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    async with world(keeps_saying(chunked(b"hello"))) as each:
        for _ in range(5):
            assert await each.ask() == b"hello"
        assert each.client.statistics().dials == 1
        await until(lambda: each.pool.idle == 1)
        assert (each.pool.reused, each.pool.missed) == (4, 1)


async def test_a_provider_that_closes_idle_connections_is_never_noticed() -> None:
    async def server(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(counted(b"hello"))  # and closes, without having said so

    async with world(server) as each:
        for _ in range(20):
            assert await each.ask() == b"hello"
        assert each.client.statistics().dials == 20


async def test_an_answer_given_up_closes_its_connection_at_once() -> None:
    left = trio.Event()

    async def server(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(chunked(b"first", end=b""))
        assert await stream.receive_some(1) == b""
        left.set()

    async with world(server) as each:
        call = await each.call()
        each.client.done(call)
        with trio.fail_after(5):
            await left.wait()
        each.client.done(call)
        assert each.client.statistics().open_calls == 0
        assert each.pool.idle == 0


async def test_the_end_of_the_framing_behind_the_end_of_the_answer_is_taken_along() -> None:
    answered = trio.Event()

    async def server(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(chunked(b"data: [DONE]\n\n", end=b""))
            await stream.send_all(b"0\r\n\r\n")
            answered.set()

    async with world(server) as each:
        call = await each.call()
        assert await call.connection.receive() == b"data: [DONE]\n\n"
        await answered.wait()
        each.client.done(call)
        assert await each.ask() == b"data: [DONE]\n\n"
        assert each.client.statistics().dials == 1


async def test_framing_that_ends_late_does_not_cost_the_connection_of_a_good_answer() -> None:
    end = trio.Event()

    async def server(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(chunked(b"data: [DONE]\n\n", end=b""))
            await end.wait()
            await stream.send_all(b"0\r\n\r\n")

    async with world(server) as each:
        call = await each.call()
        await call.connection.receive()
        each.client.done(call, well=True)
        await trio.testing.wait_all_tasks_blocked()
        assert each.pool.idle == 0
        end.set()
        await until(lambda: each.pool.idle == 1)
        await each.ask()
        assert each.client.statistics().dials == 1


@pytest.mark.parametrize("more", [b"5\r\nextra\r\n", b"garbage", b""])
async def test_a_connection_that_goes_on_after_a_good_answer_is_closed(more: bytes) -> None:
    done, before = trio.Event(), open_sockets()

    async def server(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(chunked(b"data: [DONE]\n\n", end=b""))
        await done.wait()
        await stream.send_all(more)

    async with world(server) as each:
        call = await each.call()
        await call.connection.receive()
        each.client.done(call, well=True)
        done.set()
        await until(lambda: call.connection.closed)
        assert each.pool.idle == 0
    assert open_sockets() == before


async def test_no_more_idle_than_is_allowed() -> None:
    async with world(keeps_saying(counted(b"")), max_idle=2) as each:
        calls = [await each.call() for _ in range(5)]
        for call in calls:
            await body_of(call.connection)
            each.client.done(call)
        await until(lambda: each.pool.returned == 5)
        assert (each.pool.idle, each.pool.surplus) == (2, 3)
        assert [call.connection.closed for call in calls] == [True, True, True, False, False]


async def test_idle_connections_that_grow_old_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider_actor, "SWEEP_PERIOD", 0.01)
    async with world(keeps_saying(counted(b"")), keepalive=0.03) as each:
        await each.ask()
        await until(lambda: each.pool.expired == 1)
        assert each.pool.idle == 0


async def test_idle_connections_that_the_provider_closed_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider_actor, "SWEEP_PERIOD", 0.01)
    async with world(says(counted(b""))) as each:
        await each.ask()
        await until(lambda: each.pool.stale == 1)
        assert each.pool.idle == 0


async def test_stopping_closes_what_idles_and_not_what_is_on_lease() -> None:
    async with world(keeps_saying(counted(b"hello"))) as each:
        leased = await each.call()
        idle = await each.call()
        await body_of(idle.connection)
        each.client.done(idle)
        await until(lambda: each.pool.idle == 1)
        await each.system.stop("openai")
        assert idle.connection.closed
        assert await body_of(leased.connection) == b"hello"
        each.client.done(leased)


async def test_what_is_given_back_to_nobody_is_closed() -> None:
    async def give_back_to_nobody() -> None:
        async with world(keeps_saying(counted(b"hello"))) as each:
            call = await each.call()
            await body_of(call.connection)
            await each.system.stop("openai")
            each.client.done(call)

    gc.collect()
    before = open_sockets()
    await give_back_to_nobody()
    gc.collect()
    assert open_sockets() == before


# -- an actor that is not there ------------------------------------------------------------------


@pytest.mark.parametrize("state", ["stopped", "paused", "crashed"])
async def test_a_call_is_answered_whatever_the_actor_is_up_to(state: str) -> None:
    async with world(keeps_saying(counted(b"hello"))) as each:
        await each.ask()
        if state == "stopped":
            await each.system.stop("openai")
        elif state == "paused":
            await each.system.pause("openai")
        else:
            await each.system.ref("openai").tell(Crash())
        assert await each.ask() == b"hello"


@pytest.mark.parametrize("how", ["restarted", "crashed"])
async def test_a_restart_under_load_touches_no_call_and_gets_their_connections(how: str) -> None:
    go_on = trio.Event()

    async def server(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(chunked(b"first ", end=b""))
            await go_on.wait()
            await stream.send_all(b"4\r\nlast\r\n0\r\n\r\n")

    async with world(server) as each:
        calls = [await each.call() for _ in range(20)]
        if how == "restarted":
            await each.system.restart("openai")
        else:
            await each.system.ref("openai").tell(Crash())
            await until(lambda: each.system.statistics().restarts == 1)
        await until(lambda: each.system.inspect("openai").state == "running")
        go_on.set()
        for call in calls:
            assert await body_of(call.connection) == b"first last"
            each.client.done(call)
        await until(lambda: each.pool.idle == 20)
        assert await each.ask() == b"first last"
        assert each.client.statistics().dials == 20


async def test_a_crash_closes_what_idled() -> None:
    async with world(keeps_saying(counted(b"hello"))) as each:
        call = await each.call()
        await body_of(call.connection)
        each.client.done(call)
        await until(lambda: each.pool.idle == 1)
        await each.system.ref("openai").tell(Crash())
        await until(lambda: call.connection.closed)


async def test_a_call_cancelled_at_any_point_loses_no_connection() -> None:
    before = open_sockets()
    async with world(keeps_saying(chunked(b"x" * 3000))) as each:
        await each.ask()
        for passes in range(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(each.ask)
                for _ in range(passes):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        await until(lambda: open_sockets() <= before + 3 + 2 * each.pool.idle)
        assert each.client.statistics().open_calls == 0
        assert await each.ask() == b"x" * 3000
    assert open_sockets() == before


def test_its_picture_says_how_many_calls_are_open() -> None:
    settings = ProviderSettings("openai", "http://127.0.0.1/v1")
    client = ProviderClient(settings, None, Shelf(settings))  # type: ignore[arg-type]
    assert repr(client) == "<ProviderClient openai 0 open>"
