"""What is told of requests that no streaming route takes: one report each, of our own words."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from tests.http.app_world import World

from sluice.actors.failures import ClientLeft
from sluice.actors.metrics.reports import RequestReport
from sluice.http.asgi import Scope
from sluice.http.http1.exchange import REFUSED
from sluice.http.plain_report import request_id
from sluice.http.routes import ROUTES, route_of
from sluice.http.small_answers import reported

CHAT = "/v1/chat/completions"
START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"piece", "more_body": True}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("method", "target", "status", "route"), [
    ("GET", "/health?prompt=secret", 200, "/health"),
    ("HEAD", "/health", 200, "/health"),
    ("GET", "/health/live", 200, "/health/live"),
    ("GET", "/health/ready/", 200, "/health/ready"),
    ("GET", "/metrics", 200, "/metrics"),
    ("POST", "/metrics", 405, "/metrics"),
    ("GET", "/v1/models", 200, "/v1/models"),
    ("GET", "/v1/models/secret", 404, "/v1/models"),
    ("GET", "/secret", 404, "other"),
    ("GET", CHAT, 405, CHAT),
    ("PUT", "/stream", 405, "/stream"),
    ("OPTIONS", CHAT, 204, CHAT),
    ("OPTIONS", "*", 204, "other"),
])  # fmt: skip
async def test_each_is_reported_once_and_to_no_metric(
    world: World, method: str, target: str, status: int, route: str
) -> None:
    answer = await world.call(method, target)
    (report,) = world.small
    assert (answer.status, report.http_status, report.route) == (status, status, route)
    assert (report.end, report.outcome, report.error) == ("complete", None, None)
    assert answer.header("x-request-id") in {report.request_id, None}
    assert "secret" not in repr(report)
    assert world.reports == []


@pytest.mark.parametrize(("method", "target", "status"), [
    ("HEAD", "/stream?model=gpt-4o&prompt=x", 200),
    ("HEAD", "/stream", 400),
    ("POST", f"{CHAT}/", 400),
])  # fmt: skip
async def test_what_a_streaming_route_takes_is_reported_once_as_its_own(
    world: World, method: str, target: str, status: int
) -> None:
    answer = await world.call(method, target, b"{}")
    assert (world.report.http_status, answer.status) == (status, status)
    assert answer.header("x-request-id") == world.report.request_id
    assert world.small == []


async def test_a_client_that_leaves_before_its_answer_is_reported(world: World) -> None:
    world.metrics.silent = True
    await world.call("GET", "/metrics", events=[{"type": "http.disconnect"}])
    (report,) = world.small
    assert (report.http_status, report.end, report.route) == (0, "client_left", "/metrics")


async def test_a_request_that_our_end_overtakes_is_reported(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    world.metrics.silent = True
    with trio.move_on_after(1):
        await world.call("GET", "/metrics")
    (report,) = world.small
    assert (report.http_status, report.end, report.duration) == (0, "stopping", 1.0)


@pytest.mark.parametrize("path", [CHAT, "/stream"])
async def test_a_body_that_our_end_overtakes_is_reported(
    world: World, path: str, autojump_clock: trio.testing.MockClock
) -> None:
    events = [{"type": "http.request", "body": b"{", "more_body": True}]
    with trio.move_on_after(1):
        await world.call("POST", path, events=events)
    assert (world.report.http_status, world.report.end) == (0, "stopping")
    assert world.report.duration == 1.0


async def run(error: BaseException | None, *events: Any, **extensions: Any) -> list[RequestReport]:
    """What is reported of an answer of ``events`` that ends with ``error``."""

    async def send(event: Any) -> None:
        await trio.lowlevel.checkpoint()

    reports: list[RequestReport] = []
    scope: Scope = {"path": "/health", "extensions": extensions}
    try:
        with reported(scope, send, "mine-1", reports.append) as sending:
            for event in events:
                await sending(event)
            if error is not None:
                raise error
    except (ValueError, ClientLeft, ExceptionGroup):
        assert error is not None
    return reports


async def test_an_answer_that_fails_half_way_is_reported_as_cut() -> None:
    (report,) = await run(ValueError(), START, PIECE)
    assert (report.http_status, report.end, report.request_id) == (200, "cut", "mine-1")


@pytest.mark.parametrize("error", [ClientLeft(), ExceptionGroup("", [ClientLeft()])])
async def test_a_head_that_never_left_is_no_status(error: Exception) -> None:
    (report,) = await run(error, START)
    assert (report.http_status, report.end) == (0, "client_left")


async def test_what_the_edge_answers_is_the_edges_to_report() -> None:
    assert await run(ValueError(), START) == []
    assert await run(None, **{REFUSED: object()}) == []
    assert await run(ClientLeft(), START, PIECE, **{REFUSED: object()}) == []


def test_every_route_is_called_by_its_own_path() -> None:
    for path in (route.split()[1] for route in ROUTES):
        assert (route_of(path), route_of(f"{path}/")) == (path, path)


@pytest.mark.parametrize("given", [b"a b", b"", b"x" * 65, b"\xff", b'"', b"a\n"])
def test_an_identity_that_is_not_safe_to_repeat_is_replaced(given: bytes) -> None:
    assert len(request_id([(b"x-request-id", given)])) == 32
