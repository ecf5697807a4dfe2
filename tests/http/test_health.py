from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.http.app_world import World

from sluice.actors.metrics.metrics import Figures, Render, Vitals
from sluice.actors.metrics.pages import Page, Rest
from sluice.actors.slots.connections import Count, SlotsInUse
from sluice.engine import (
    ActorCrashed,
    ActorError,
    ActorStopped,
    FrameTooLarge,
    MailboxFull,
    ProcessGone,
)
from sluice.http.quart_app import RENDER_TIMEOUT
from sluice.http.services import Lifecycle


@pytest.fixture
def world() -> World:
    return World()


async def test_a_healthy_service_says_so_in_the_seeds_shape(world: World) -> None:
    answer = await world.call("GET", "/health")
    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    assert answer.json == {
        "status": "healthy",
        "version": "1.2.3",
        "checks": {"providers": {"openai": "ok"}},
        "metrics": {
            "active_connections": 3,
            "requests_per_second": 28.4,
            "error_rate_percent": 0.8,
        },
    }


@pytest.mark.parametrize("lifecycle", ["starting", "draining", "stopped"])
async def test_a_service_that_starts_or_drains_is_unhealthy_and_not_ready_but_alive(
    world: World, lifecycle: Lifecycle
) -> None:
    world.lifecycle = lifecycle
    answer = await world.call("GET", "/health")
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["reasons"] == [f"The service is {lifecycle}."]
    ready = await world.call("GET", "/health/ready")
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert answer.header("retry-after") == ready.header("retry-after") == "1"
    assert (await world.call("GET", "/health/live")).status == 200


async def test_a_healthy_service_is_ready(world: World) -> None:
    answer = await world.call("GET", "/health/ready")
    assert (answer.status, answer.json) == (200, {"ready": True, "reasons": []})


async def test_without_a_usable_provider_it_is_unhealthy(world: World) -> None:
    world.states = {"openai": "down", "backup": "down"}
    answer = await world.call("GET", "/health")
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert "No provider is usable." in answer.json["reasons"]
    assert answer.json["checks"]["providers"] == {"openai": "down", "backup": "down"}


async def test_one_provider_less_is_degraded(world: World) -> None:
    world.states = {"openai": "ok", "backup": "down", "third": "degraded"}
    answer = await world.call("GET", "/health")
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["reasons"] == ["Provider backup is down.", "Provider third is degraded."]


async def test_from_the_soft_limit_on_it_is_degraded_never_unhealthy(world: World) -> None:
    for active in (80, 100):
        world.connections.replies[Count] = SlotsInUse(active, 100, 80, True, 0)
        answer = await world.call("GET", "/health")
        assert (answer.status, answer.json["status"]) == (200, "degraded")
        assert answer.json["reasons"] == [f"{active} of 100 connections are in use."]
        assert answer.json["metrics"]["active_connections"] == active


async def test_many_requests_a_second_are_degraded(world: World) -> None:
    world.metrics.replies[Figures] = Vitals(3, 100, 500.0, 0.0)
    answer = await world.call("GET", "/health")
    assert answer.json["status"] == "degraded"
    assert answer.json["reasons"] == ["500 requests a second are many."]


@pytest.mark.parametrize(
    "error",
    [
        ActorCrashed("x", "crashed"),
        ActorStopped("x", "stopped"),
        MailboxFull("x", "full"),
    ],
)
async def test_an_actor_that_is_not_there_is_a_reason_not_an_error(
    world: World, error: Exception
) -> None:
    world.connections.error = world.metrics.error = error
    answer = await world.call("GET", "/health")
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["reasons"] == [
        "The actor connections does not answer.",
        "The actor metrics does not answer.",
    ]
    assert answer.json["metrics"] == {
        "active_connections": None,
        "requests_per_second": None,
        "error_rate_percent": None,
    }


async def test_actors_that_hang_hold_the_answer_up_for_one_second_in_all(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    world.connections.silent = world.metrics.silent = True
    before = trio.current_time()
    answer = await world.call("GET", "/health")
    assert answer.json["status"] == "degraded"
    assert trio.current_time() - before <= 1.5


async def test_live_asks_nobody(world: World) -> None:
    world.connections.silent = world.metrics.silent = True
    assert (await world.call("GET", "/health/live")).json == {"status": "alive"}


# -- metrics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
async def test_metrics_come_in_the_format_that_is_accepted(
    world: World, accept: str, content_type: str
) -> None:
    answer = await world.call("GET", "/metrics", headers={"Accept": accept} if accept else {})
    assert (answer.status, answer.body) == (200, b"sse 1\n")
    given = answer.header("content-type")
    assert given is not None
    assert given.startswith(content_type)
    assert answer.header("vary") == "Accept"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ActorCrashed("metrics", "crashed"), "has crashed"),
        (ActorStopped("metrics", "stopped"), "is stopped"),
        (ProcessGone("metrics@host", "gone"), "is stopped"),
        (MailboxFull("metrics", "full"), "is overloaded"),
        (FrameTooLarge("metrics@host", "large"), "failed"),
    ],
)
async def test_metrics_that_cannot_be_told_are_a_503_with_a_reason_and_a_time_to_come_back(
    world: World, error: ActorError, what: str
) -> None:
    world.metrics.error = error
    answer = await world.call("GET", "/metrics")
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert f"The actor metrics {what}" in answer.json["error"]["message"]


async def test_metrics_that_do_not_answer_are_a_503_in_time(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    world.metrics.silent = True
    answer = await world.call("GET", "/metrics")
    assert answer.status == 503
    assert trio.current_time() == pytest.approx(RENDER_TIMEOUT)


async def test_metrics_whose_rest_was_lost_are_a_503(world: World) -> None:
    world.metrics.replies |= {Render: Page(b"sse 1\n", rest=4), Rest: None}
    answer = await world.call("GET", "/metrics")
    assert (answer.status, answer.header("retry-after")) == (503, "1")


async def test_long_metrics_are_read_to_their_end(world: World) -> None:
    world.metrics.replies |= {Render: Page(b"sse 1\n", rest=4), Rest: Page(b"sse 2\n")}
    answer = await world.call("GET", "/metrics")
    assert (answer.status, answer.body) == (200, b"sse 1\nsse 2\n")
