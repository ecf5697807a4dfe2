"""What is told of requests that the edge refuses: each once, and nothing that a stranger wrote."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.http.app_world import World
from tests.http.edge_world import (
    GET,
    PATIENCE,
    POST,
    App,
    Calling,
    EdgeWorld,
    echo,
    open_edge,
    read,
    reply,
)

from sluice.actors.metrics.reports import RequestReport
from sluice.http.asgi import Receive, Scope, Send
from sluice.http.services import AppSettings

CHAT = "/v1/chat/completions"
CHUNKED = (
    b"POST /v1/chat/completions?key=sk-secret HTTP/1.1\r\nHost: sluice\r\nX-Request-Id: mine-1\r\n"
    b"Authorization: Bearer sk-secret\r\nTransfer-Encoding: chunked\r\n\r\n"
)
SIZED = CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 50")
SECRET = b"X-Request-Id: sk-secret x\r\nAuthorization: Bearer sk-secret\r\n"


async def until_reported(edge: EdgeWorld) -> RequestReport:
    """The one report there is, once nothing more can come."""
    await edge.until_open(0)
    (report,) = edge.refused
    assert sum(edge.state.counts.refused.values()) == 1
    assert "secret" not in repr(report)
    return report


@pytest.mark.parametrize(("data", "status", "code"), [
    (GET.replace(b"Host: sluice\r\n", SECRET), 400, "bad_request"),
    (b"sk-secret\r\n\r\n", 400, "bad_request"),
    (GET[:-2] + SECRET + b"Content-Length: 101\r\n\r\n", 413, "body_too_large"),
    (b"GET /sk-secret" + b"a" * 9000, 414, "url_too_long"),
    (GET[:-2] + SECRET + b"Expect: sk-secret\r\n\r\n", 417, "expectation_failed"),
    (GET[:-2] + SECRET * 60 + b"\r\n", 431, "head_too_large"),
    (b"SECRET /sk-secret HTTP/1.1\r\n" + SECRET + b"\r\n", 501, "not_implemented"),
    (b"GET /sk-secret HTTP/2.0\r\nHost: a\r\n" + SECRET + b"\r\n", 505, "http_version"),
])  # fmt: skip
async def test_a_refused_head_is_reported_once_without_anything_it_said(
    data: bytes, status: int, code: str
) -> None:
    async with open_edge(App(), body_limit=100) as edge:
        assert (await edge.request(data)).status == status
        report = await until_reported(edge)
    assert (report.http_status, report.end, report.route) == (status, code, "other")
    assert report.error == (("validation_error", "validation") if status < 500 else None)
    assert report.outcome is None
    assert len(report.request_id) == 32


async def test_a_head_that_trickles_in_is_reported_with_the_time_it_took() -> None:
    async with open_edge(App(), head_timeout=0.05) as edge:
        assert (await edge.request(GET[:-1])).status == 408
        report = await until_reported(edge)
    assert (report.http_status, report.end) == (408, "request_timeout")
    assert 0.05 <= report.duration < PATIENCE


@pytest.mark.parametrize(("data", "status", "waits"), [
    (CHUNKED + b"7f\r\n" + b"x" * 127 + b"\r\n0\r\n\r\n", 413, 0.0),
    (CHUNKED + b"five\r\n", 400, 0.0),
    (CHUNKED + b"5\r\nhe", 408, 0.05),
    (SIZED + b"half", 408, 0.05),
])  # fmt: skip
async def test_a_refused_body_is_reported_once_by_its_route_and_identity(
    data: bytes, status: int, waits: float
) -> None:
    world = World(AppSettings(body_limit=100))
    async with open_edge(world.app, body_limit=100, body_timeout=0.05) as edge:
        assert (await edge.request(data)).status == status
        report = await until_reported(edge)
    assert (report.http_status, report.route, report.request_id) == (status, CHAT, "mine-1")
    assert waits <= report.duration < PATIENCE
    assert world.reports == []


async def test_a_refused_body_of_a_small_request_is_reported_once() -> None:
    world = World()
    async with open_edge(world.app) as edge:
        data = CHUNKED.replace(b"/v1/chat/completions", b"/health") + b"five\r\n"
        status = (await edge.request(data)).status
        await edge.until_open(0)
    # Whether the answer was complete before the body was looked at, is the scheduler's.
    (report,) = [*edge.refused, *world.small]
    assert (report.http_status, report.route) == (status, "/health")


async def test_a_client_that_does_not_wait_for_its_refusal_is_reported_once() -> None:
    world = World()
    async with open_edge(world.app) as edge:
        client = await edge.connect()
        client.reset_on_leaving()
        await client.send(CHUNKED + b"five\r\n")
        await client.leave()
        await edge.until_open(0)
    (report,) = [*edge.refused, *world.reports]
    assert report.end in {"bad_request", "client_left"}


async def test_a_refusal_that_the_servers_end_overtakes_is_reported_once() -> None:
    refused = trio.Event()

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)
        refused.set()
        await trio.sleep_forever()

    async with open_edge(Calling(stubborn), drain=0.05) as edge:
        client = await edge.connect()
        await client.send(CHUNKED + b"five\r\n")
        await refused.wait()
        edge.stop.set()
        await edge.until_ended()
        assert (await until_reported(edge)).http_status == 400


async def test_a_request_whose_body_the_servers_end_overtakes_is_reported_once() -> None:
    world = World()
    async with open_edge(world.app, drain=0.05) as edge:
        client = await edge.connect()
        await client.send(SIZED + b"half")
        await edge.until_open(1)
        with trio.fail_after(PATIENCE):
            while not edge.state.counts.requests:
                await trio.testing.wait_all_tasks_blocked(0.001)
        edge.stop.set()
        await edge.until_ended()
    assert (world.report.end, world.report.http_status, edge.refused) == ("stopping", 0, [])


async def test_what_follows_a_complete_answer_is_no_refusal_of_another_request() -> None:
    async with open_edge(App(), body_timeout=0.05) as edge:
        assert (await edge.request(POST % (10, b"half"))).status == 200
        await edge.until_open(0)
        assert (edge.refused, edge.state.counts.refused) == ([], {})


async def test_an_answer_that_is_cut_over_the_requests_body_is_reported_once() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        await read(receive)

    async with open_edge(Calling(early)) as edge:
        assert not (await edge.request(CHUNKED + b"x\r\n")).complete
        assert (await until_reported(edge)).end == "bad_request"


async def test_an_application_that_fails_is_reported_once_with_its_route() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError

    async with open_edge(Calling(failing)) as edge:
        stream = b"GET /stream?prompt=sk-secret HTTP/1.1\r\nHost: a\r\n" + SECRET + b"\r\n"
        assert (await edge.request(stream)).status == 500
        report = await until_reported(edge)
        assert edge.state.counts.crashed == 1
    assert (report.http_status, report.route, report.end) == (500, "/stream", "internal_error")
    assert report.error is None


async def test_a_connection_over_the_limit_is_reported() -> None:
    async with open_edge(App(), max_connections=1) as edge:
        client = await edge.connect()
        assert (await client.request()).status == 200
        assert (await (await edge.connect()).answer()).status == 503
        await client.leave()
        assert (await until_reported(edge)).end == "too_many_connections"


async def test_what_is_answered_as_asked_is_no_refusal() -> None:
    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        await (reply(send, b"") if scope["method"] == "HEAD" else echo(scope, receive, send))

    async with open_edge(Calling(polite)) as edge:
        for data in (GET, POST % (2, b"hi")):
            assert (await edge.request(data)).status == 200
        client = await edge.connect()
        await client.request(GET.replace(b"GET", b"HEAD"), head=True)
        await client.send(POST % (5, b"half"))
        await client.leave()
        await edge.until_open(0)
        assert (edge.refused, edge.state.counts.requests) == ([], 4)
