"""Callers at their limits, in the whole service without a store: what they hear, and counts."""

from __future__ import annotations

import hashlib
from typing import Any

import jwt
import msgspec
import pytest
from tests.http.edge_world import Answer
from tests.service.operators_world import total
from tests.service.world import World, chat, open_world, post, request

from sluice.actors.settings import LimitSettings, Rate, Secret
from sluice.http.callers.auth_settings import AuthSettings, TokenSettings, UserSettings

SECRET = "of the issuer, and of nobody else's"
LIMITS = LimitSettings(ip=Rate(2, "hour"), token=Rate(3, "hour"), user=None)


def auth(**options: object) -> AuthSettings:
    """Two tokens, ``one`` and ``two``; the second has a limit of its own."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two")}
    tokens = {
        "one": TokenSettings("one", digests["one"]),
        "two": TokenSettings("two", digests["two"], limit=Rate(1, "hour")),
    }
    return AuthSettings(tokens=tokens, **options)  # type: ignore[arg-type]


def told(answer: Answer) -> tuple[int, ...]:
    """What the headers say: the limit, what remains of it, when there is more."""
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    return tuple(int(answer.headers[name]) for name in names)


def error_of(answer: Answer) -> dict[str, Any]:
    error: dict[str, Any] = msgspec.json.decode(answer.body)["error"]
    return error


async def asked(world: World, credential: str) -> Answer:
    data = chat("sim-ok?chunks=2").replace(
        b"Host:", b"Authorization: Bearer %b\r\nHost:" % credential.encode(), 1
    )
    return await world.send(data)


async def exceeded(world: World) -> dict[str, float]:
    samples = await world.samples()
    return {
        kind: total(samples, "sse_rate_limit_exceeded_total", user_type=kind)
        for kind in ("ip", "user", "token")
    }


async def test_an_address_has_its_limit_at_once_and_is_then_told_when_to_come_back() -> None:
    async with open_world(limits=LIMITS) as world:
        first = await world.ask("sim-ok?chunks=2")
        assert (first.status, told(first)) == (200, (2, 1, 3600))
        second = await world.ask("sim-ok?chunks=2", stream=False)
        assert (second.status, told(second)[:2]) == (200, (2, 0))
        third = await world.ask("sim-ok?chunks=2")
        assert (third.status, told(third)[:2]) == (429, (2, 0))
        assert 3590 <= int(third.headers["retry-after"]) <= 3600
        assert told(third)[2] == int(third.headers["retry-after"])
        assert error_of(third)["type"] == "rate_limit_error"
        assert error_of(third)["code"] == "rate_limit_exceeded"
        assert "This address" in error_of(third)["message"]
        assert await exceeded(world) == {"ip": 1, "user": 0, "token": 0}
        assert total(await world.samples(), "sse_rate_limit_local_total") == 3
        assert len(world.simulator.requests) == 2


async def test_our_own_route_tells_it_in_its_own_style() -> None:
    async with open_world(limits=LimitSettings(ip=Rate(1, "minute"))) as world:
        get = request("GET", "/stream?model=sim-ok&prompt=hi", "Connection: close")
        assert (await world.send(get)).status == 200
        refused = await world.send(get)
        assert refused.status == 429
        error = error_of(refused)
        assert error["type"] == error["code"] == "rate_limit_exceeded"
        assert error["stage"] == "admission"
        assert 50 <= error["retry_after"] <= 60
        assert error["retry_after"] == int(refused.headers["retry-after"])


async def test_what_is_not_valid_takes_nothing_and_what_is_no_completion_neither() -> None:
    async with open_world(limits=LIMITS) as world:
        for _ in range(5):
            assert (await world.send(post("/stream", b"{}", "Connection: close"))).status == 400
            assert (await world.get("/v1/models")).status == 200
        assert told(await world.ask("sim-ok?chunks=2"))[1] == 1


async def test_a_token_has_the_limit_of_tokens_or_its_own_wherever_it_is_used() -> None:
    async with open_world(limits=LIMITS, auth=auth()) as world:
        assert [(await asked(world, "one")).status for _ in range(4)] == [200, 200, 200, 429]
        assert [(await asked(world, "two")).status for _ in range(2)] == [200, 429]
        assert (await world.ask("sim-ok?chunks=2")).status == 200  # its address has its own
        unknown = await asked(world, "three")
        assert (unknown.status, unknown.headers["www-authenticate"]) == (401, "bearer")
        assert await exceeded(world) == {"ip": 0, "user": 0, "token": 2}


async def test_a_user_has_one_limit_whichever_of_his_signed_tokens_he_shows() -> None:
    users = AuthSettings(jwt=UserSettings(secret=Secret(SECRET)))
    limits = LimitSettings(ip=None, user=Rate(2, "hour"))
    async with open_world(limits=limits, auth=users) as world:
        statuses = [(await asked(world, signed("ada", number))).status for number in range(3)]
        assert statuses == [200, 200, 429]
        assert (await asked(world, signed("bob", 0))).status == 200
        assert await exceeded(world) == {"ip": 0, "user": 1, "token": 0}


@pytest.mark.parametrize(
    ("model", "status"), [("sim-503", 503), ("sim-content-policy", 400), ("sim-429", 429)]
)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_that_failed_tells_what_remains_of_the_limit_too(
    model: str, status: int, *, stream: bool
) -> None:
    async with open_world(limits=LIMITS) as world:
        answer = await world.ask(model, stream=stream)
        assert (answer.status, told(answer)) == (status, (2, 1, 3600))
        if status != 400:
            assert answer.headers["retry-after"] == "1"


def signed(user: str, number: int) -> str:
    """A token of ``user``, unlike his others."""
    return jwt.encode({"sub": user, "exp": 2**40, "jti": str(number)}, SECRET, "HS256")


@pytest.mark.parametrize(("depth", "statuses"), [(0, [200, 200, 429, 429]), (1, [200] * 4)])
async def test_behind_proxies_each_client_has_a_limit_of_his_own_if_that_is_configured(
    depth: int, statuses: list[int]
) -> None:
    async with open_world(limits=LIMITS, auth=AuthSettings(forwarded_depth=depth)) as world:
        got = []
        for client in ("198.51.100.1", "198.51.100.2") * 2:
            header = f"X-Forwarded-For: 6.6.6.6, {client}\r\nHost:".encode()
            data = chat("sim-ok?chunks=2").replace(b"Host:", header, 1)
            got.append((await world.send(data)).status)
        assert got == statuses
