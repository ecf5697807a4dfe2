"""The client object in the scope, and clients that leave, stall, or are ahead."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from tests.http.edge_world import (
    GET,
    PATIENCE,
    App,
    Calling,
    RawClient,
    open_edge,
    read,
    reply,
)

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.actors.streams.client import Client
from sluice.http.asgi import Asgi, Receive, Scope, Send
from sluice.http.edge_settings import PIPELINE_LIMIT
from sluice.http.http1.exchange import EXTENSION

HEAD = [(b"content-type", b"text/event-stream")]
MEGABYTES = b"x" * 20_000_000


def through(function: Callable[[Any], Awaitable[None]]) -> Asgi:
    """An application that answers through the client object."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await function(scope["extensions"][EXTENSION])

    return Calling(app)


# -- writing ------------------------------------------------------------------------------------


async def test_the_pump_may_write_to_a_plain_socket() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(b"one,"), 5)
        assert client.send_nowait(client.frame(b"two,")) == len(b"4\r\ntwo,\r\n")
        await client.end(client.frame(b"three"), 5)
        assert client.direct
        assert client.fd > 0
        assert "complete" in repr(client)

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        for _ in range(2):
            answer = await client.request()
            assert answer.headers["content-type"] == "text/event-stream"
            assert (answer.body, answer.complete) == (b"one,two,three", True)


async def test_the_head_waits_for_the_first_bytes() -> None:
    go_on = trio.Event()

    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await go_on.wait()
        client.send_nowait(client.frame(b"first"))
        await client.end(b"", 5)

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        with trio.move_on_after(0.05) as scope:
            await client.stream.receive_some()
        assert scope.cancelled_caught
        go_on.set()
        assert (await client.answer()).body == b"first"


async def test_an_empty_payload_does_not_end_the_body() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        assert client.frame(b"") == b""
        await client.send(b"", 5)
        await client.end(client.frame(b"all"), 5)

    async with open_edge(through(stream)) as edge:
        assert (await edge.request()).body == b"all"


async def test_http_1_0_gets_the_bytes_without_a_coding() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(b"one"), 5)
        await client.end(client.frame(b"two"), 5)

    async with open_edge(through(stream)) as edge:
        assert (await edge.request(b"GET / HTTP/1.0\r\n\r\n")).body == b"onetwo"


async def test_a_whole_response_says_its_length() -> None:
    async def stream(client: Any) -> None:
        await client.respond(429, HEAD, b"later", 5)

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        for _ in range(2):
            answer = await client.request()
            assert (answer.status, answer.body) == (429, b"later")
            assert answer.headers["content-length"] == "5"


async def test_head_gets_the_head_alone() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(b"one"), 5)
        await client.end(client.frame(b"two"), 5)

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        for _ in range(2):
            assert (await client.request(GET.replace(b"GET", b"HEAD"), head=True)).status == 200
        assert client.buffer == b""


async def test_an_aborted_response_is_seen_as_cut() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(b"half"), 5)
        client.abort()
        client.abort()
        assert client.left
        assert client.fd == -1
        with pytest.raises(ClientLeft):
            client.send_nowait(b"more")

    async with open_edge(through(stream)) as edge:
        answer = await edge.request()
        assert (answer.body, answer.complete) == (b"half", False)


async def test_a_reset_response_is_seen_as_reset() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(b"half"), 5)
        client.reset()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        assert await client.ends_in_a_reset()


async def test_the_object_keeps_its_own_order_of_calls() -> None:
    errors: list[str] = []

    async def stream(client: Any) -> None:
        for call in (
            lambda: client.frame(b"x"),
            lambda: (client.start(200, []), client.start(200, [])),
        ):
            with pytest.raises(RuntimeError) as caught:
                call()
            errors.append(str(caught.value))
        await client.end(b"", 5)
        with pytest.raises(RuntimeError):
            await client.end(b"", 5)

    async with open_edge(through(stream)) as edge:
        assert (await edge.request()).complete
    assert errors == ["the response has not started", "the response has started"]


async def test_it_is_the_client_that_the_relay_is_written_for() -> None:
    def takes(client: Client) -> Client:
        return client

    async def stream(client: Any) -> None:
        for name in ("start", "frame", "send_nowait", "send", "respond", "end", "abort", "watch"):
            assert callable(getattr(takes(client), name))
        await client.respond(200, [], b"", 5)

    async with open_edge(through(stream)) as edge:
        assert (await edge.request()).status == 200


# -- a client that does not read -----------------------------------------------------------------


async def test_a_client_that_takes_no_bytes_is_stalled_after_the_timeout() -> None:
    outcome: list[type[BaseException]] = []
    ended = trio.Event()

    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        try:
            await client.send(client.frame(MEGABYTES), 0.05)
        except ClientStalled:
            outcome.append(ClientStalled)
        with pytest.raises(ClientLeft):
            await client.send(b"what came next would not join", 1)
        client.abort()
        ended.set()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        with trio.fail_after(PATIENCE):
            await ended.wait()
        await edge.until_open(0)
    assert outcome == [ClientStalled]


async def test_a_client_that_reads_slowly_gets_every_byte() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(MEGABYTES), PATIENCE)
        await client.end(b"", PATIENCE)

    async with open_edge(through(stream)) as edge:
        answer = await edge.request()
        assert (len(answer.body), answer.complete) == (len(MEGABYTES), True)


async def test_what_does_not_fit_is_said_and_not_waited_for() -> None:
    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        while client.send_nowait(b"x" * 1_000_000):
            pass
        assert client.send_nowait(b"x") == 0
        await trio.lowlevel.checkpoint()
        client.abort()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await edge.until_open(1)
        await edge.until_open(0)


async def test_an_applications_send_ends_with_an_os_error_when_the_client_stalls() -> None:
    outcome: list[Exception] = []
    ended = trio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await reply(send, MEGABYTES)
        except OSError as error:
            outcome.append(error)
        ended.set()

    async with open_edge(Calling(flood), client_write=0.05) as edge:
        client = await edge.connect()
        await client.send(GET)
        with trio.fail_after(PATIENCE):
            await ended.wait()
        await edge.until_open(0)
        assert edge.state.counts.crashed == 0
    assert isinstance(outcome[0], ClientLeft)


async def test_a_cancelled_write_takes_no_more_bytes() -> None:
    done = trio.Event()

    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        with trio.move_on_after(0.05):
            await client.send(client.frame(MEGABYTES), PATIENCE)
        with pytest.raises(ClientLeft):
            await client.send(b"torn", 5)
        done.set()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        with trio.fail_after(PATIENCE):
            await done.wait()
        assert await client.rest()


# -- a client that leaves ------------------------------------------------------------------------


def close(client: RawClient) -> None:
    sock(client).close()


def half_close(client: RawClient) -> None:
    sock(client).shutdown(socket.SHUT_WR)


def reset(client: RawClient) -> None:
    sock(client).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock(client).close()


def sock(client: RawClient) -> Any:
    return client.stream.socket  # type: ignore[attr-defined]


ways = pytest.mark.parametrize("way", [close, half_close, reset])


@ways
async def test_who_watches_is_told_once_that_the_client_left(
    way: Callable[[RawClient], None],
) -> None:
    calls: list[str] = []
    ready, done = trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        left = trio.Event()
        client.start(200, HEAD)
        await client.send(client.frame(b"x"), 5)
        client.watch(left.set)
        ready.set()
        await left.wait()
        calls.append("left")
        client.watch(lambda: calls.append("at once"))
        with pytest.raises(ClientLeft):
            await client.send(client.frame(b"y"), 5)
        client.unwatch()
        client.unwatch()
        client.abort()
        done.set()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        way(client)
        with trio.fail_after(PATIENCE):
            await done.wait()
        await edge.until_open(0)
        assert edge.state.counts.crashed == 0
    assert calls == ["left", "at once"]


@ways
async def test_who_waits_in_receive_is_told_that_the_client_left(
    way: Callable[[RawClient], None],
) -> None:
    events: list[str] = []
    ready, done = trio.Event(), trio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        ready.set()
        events.extend([(await receive())["type"] for _ in range(2)])
        with pytest.raises(OSError):  # noqa: PT011 -- ASGI promises no more than that
            await reply(send, b"too late")
        done.set()

    async with open_edge(Calling(waiting)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        way(client)
        with trio.fail_after(PATIENCE):
            await done.wait()
        await edge.until_open(0)
    assert events == ["http.disconnect"] * 2


async def test_a_client_that_had_left_is_told_of_before_watch_returns() -> None:
    ready, gone, done = trio.Event(), trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        calls: list[str] = []
        ready.set()
        await gone.wait()
        client.watch(lambda: calls.append("left"))
        assert calls == ["left"]
        done.set()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        close(client)
        gone.set()
        with trio.fail_after(PATIENCE):
            await done.wait()


async def test_who_no_longer_watches_is_not_told() -> None:
    calls: list[str] = []
    ready, gone = trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        client.watch(lambda: calls.append("left"))
        client.unwatch()
        ready.set()
        await gone.wait()
        await client.respond(200, [], b"", 5)

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        half_close(client)
        gone.set()
        assert (await client.answer()).status == 200
    assert calls == []


async def test_an_application_that_does_not_ask_is_cancelled_when_its_client_left() -> None:
    ready, cancelled = trio.Event(), trio.Event()

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        ready.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with open_edge(Calling(deaf), keepalive_timeout=0.2) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        close(client)
        with trio.fail_after(PATIENCE):
            await cancelled.wait()
        await edge.until_open(0)


async def test_receive_returns_once_the_answer_is_complete() -> None:
    events: list[str] = []

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)

        async def wait() -> None:
            events.append((await receive())["type"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await reply(send, b"done")

    async with open_edge(Calling(waiting)) as edge:
        client = await edge.connect()
        for _ in range(2):
            assert (await client.request()).body == b"done"
    assert events == ["http.disconnect"] * 2


# -- a client that is ahead ----------------------------------------------------------------------


@pytest.mark.parametrize("watching", [True, False])
async def test_requests_that_come_during_an_answer_are_answered_after_it(watching: bool) -> None:
    ready, go_on = trio.Event(), trio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["extensions"][EXTENSION]
        await read(receive)
        async with trio.open_nursery() as nursery:
            if watching:
                client.watch(nursery.cancel_scope.cancel)
            else:
                nursery.start_soon(receive)
            ready.set()
            await go_on.wait()
            await client.respond(200, [], scope["path"].encode(), 5)

    async with open_edge(Calling(stream)) as edge:
        client = await edge.connect()
        await client.send(GET.replace(b"/", b"/1", 1))
        await ready.wait()
        await client.send(GET.replace(b"/", b"/2", 1) + GET.replace(b"/", b"/3", 1)[:9])
        await trio.testing.wait_all_tasks_blocked(0.01)
        go_on.set()
        assert (await client.answer()).body == b"/1"
        assert (await client.answer()).body == b"/2"
        await client.send(GET.replace(b"/", b"/3", 1)[9:])
        assert (await client.answer()).body == b"/3"


@pytest.mark.parametrize("watching", [True, False])
async def test_a_client_that_is_far_ahead_is_no_longer_read(watching: bool) -> None:
    ready, go_on = trio.Event(), trio.Event()
    objects: list[Any] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["extensions"][EXTENSION]
        objects.append(client)
        await read(receive)
        async with trio.open_nursery() as nursery:
            if watching:
                client.watch(lambda: None)
            else:
                nursery.start_soon(receive)
            ready.set()
            await go_on.wait()
            await client.respond(200, [], b"", 5)

    count = 30_000
    async with open_edge(Calling(stream)) as edge, trio.open_nursery() as nursery:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        nursery.start_soon(client.send, GET * count)
        ahead = objects[0]._wire
        with trio.fail_after(10):
            while not watching and len(ahead._ahead) < PIPELINE_LIMIT:
                await trio.testing.wait_all_tasks_blocked(0.001)
        await trio.testing.wait_all_tasks_blocked()
        assert len(ahead._ahead) < (1 if watching else PIPELINE_LIMIT * 2)
        go_on.set()
        for _ in range(1000):
            assert (await client.answer()).status == 200
        nursery.cancel_scope.cancel()


async def test_a_body_is_not_stolen_from_who_reads_it_by_who_watches() -> None:
    bodies: list[bytes | None] = []
    ready = trio.Event()

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["extensions"][EXTENSION]
        client.watch(lambda: None)
        ready.set()
        bodies.append(await read(receive))
        await client.respond(200, [], b"", 5)

    async with open_edge(Calling(both), keepalive_timeout=0.2) as edge:
        client = await edge.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        await ready.wait()
        for part in (b"ab", b"cd", b"ef"):
            await trio.testing.wait_all_tasks_blocked(0.01)
            await client.send(part)
        assert (await client.answer()).status == 200
    assert bodies == [b"abcdef"]


async def test_a_draining_server_says_that_an_answer_is_the_last() -> None:
    ready, go_on = trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        ready.set()
        await go_on.wait()
        await client.respond(200, [], b"last", 5)

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        edge.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        go_on.set()
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"last", "close")
        assert await client.closed()
        await edge.until_ended()


async def test_a_request_that_is_there_when_the_server_stops_is_still_answered() -> None:
    async with open_edge(App()) as edge:
        client = await edge.connect()
        assert (await client.request()).status == 200
        await client.send(GET)
        edge.stop.set()
        answer = await client.answer()
        assert answer.body == b"hello"


async def test_a_connection_that_is_new_when_the_server_stops_may_make_its_request() -> None:
    async with open_edge(App()) as edge:
        silent, late = await edge.connect(), await edge.connect()
        await edge.until_open(2)
        edge.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        answer = await late.request()
        assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
        assert await silent.closed()
        await edge.until_ended()


async def test_who_only_writes_finds_out_by_writing() -> None:
    ready, gone, done = trio.Event(), trio.Event(), trio.Event()

    async def stream(client: Any) -> None:
        client.start(200, HEAD)
        await client.send(client.frame(b"x"), 5)
        ready.set()
        await gone.wait()
        with pytest.raises(ClientLeft):
            await client.send(client.frame(b"y"), 5)
        told: list[bool] = []
        client.watch(lambda: told.append(True))
        assert told == [True]
        done.set()

    async with open_edge(through(stream)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        reset(client)
        gone.set()
        with trio.fail_after(PATIENCE):
            await done.wait()


@pytest.mark.parametrize("grouped", [True, False])
async def test_an_application_that_lets_a_clients_leaving_through_has_not_failed(
    grouped: bool,
) -> None:
    ready, left = trio.Event(), trio.Event()

    async def writing(client: Any) -> None:
        client.start(200, HEAD)
        client.watch(left.set)
        await client.send(client.frame(b"x"), 5)
        ready.set()
        await left.wait()
        if not grouped:
            await client.send(client.frame(b"y"), 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await client.send(client.frame(b"y"), 5)

    async with open_edge(through(writing)) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        close(client)
        await edge.until_open(0)
        assert edge.state.counts.crashed == 0


async def test_an_application_that_fails_while_it_is_cut_takes_no_server_with_it() -> None:
    ready = trio.Event()

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                ready.set()
                await trio.sleep_forever()
            finally:
                raise ValueError

    async with open_edge(Calling(failing), drain=0.05) as edge:
        client = await edge.connect()
        await client.send(GET)
        await ready.wait()
        edge.stop.set()
        await edge.until_ended()
        assert edge.state.counts.crashed == 1


async def test_connections_and_idle_ones_show_what_they_do() -> None:
    shown: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        shown.extend(map(repr, edge.state.connections))
        await reply(send, b"")

    async with open_edge(Calling(app)) as edge:
        client = await edge.connect()
        await client.request()
        await trio.testing.wait_all_tasks_blocked(0.001)
        shown.extend(map(repr, edge.state.connections))
    assert shown[0].endswith("<Response to GET /: new>>")
    assert shown[1].endswith(": idle>")
