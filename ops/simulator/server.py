"""The simulator on a socket: an ASGI application that performs plans on the edge's `Client`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.http.asgi import JSON, Event, Headers, Receive, Scope, Send, answer, find

from . import steps
from .behaviour import BEHAVIOURS
from .dialect import Dialect, Identity, Problem
from .openai import OpenAI
from .records import Received, Records
from .simulation import Response, Simulation

_WRITE_TIMEOUT = 60.0
"""Seconds that a client may let its answer wait."""
_DIALECTS: dict[str, Dialect] = {"/v1/chat/completions": OpenAI()}
_STARTED = 1_700_000_000
"""When all models were made, as far as ``GET /v1/models`` is asked."""


class App:
    """The simulator as an ASGI application, for a server with our `Client` in its scopes."""

    def __init__(self, simulation: Simulation, records: Records) -> None:
        self._simulation = simulation
        self._records = records
        self._held = trio.lowlevel.ParkingLot()
        self._pages: dict[tuple[str, str], Callable[[Scope], object]] = {
            ("GET", "/v1/models"): _models,
            ("GET", "/sim/statistics"): lambda _: self._records.statistics(),
            ("GET", "/sim/requests"): lambda _: list(self._records.received),
            ("POST", "/sim/release"): lambda _: {"released": self.release()},
        }

    def release(self) -> int:
        """Let all go on that an option ``hold`` holds. Returns how many."""
        return len(self._held.unpark_all())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        dialect = _DIALECTS.get(scope["path"])
        page = self._pages.get((scope["method"], scope["path"]))
        if dialect is not None and scope["method"] == "POST":
            await self._complete(dialect, scope, receive)
        elif page is not None:
            await answer(send, 200, [JSON], msgspec.json.encode(page(scope)))
        else:
            detail = f"{scope['method']} {scope['path']}"
            problem = Problem(kind="not_found", detail=detail)
            status, body = OpenAI().problem(problem, None, Identity("chatcmpl-0", _STARTED))
            await answer(send, status, [JSON], body)

    async def _complete(self, dialect: Dialect, scope: Scope, receive: Receive) -> None:
        body = await _read(receive)
        response = self._simulation.respond(dialect, body, _key(scope["headers"]))
        received = self._received(scope, body, response)
        self._records.begin(received, response.model, response.attempt)
        left = True
        try:
            left = await self._perform(response.plan, scope)
        finally:
            self._records.finish(left=left)

    def _received(self, scope: Scope, body: bytes, response: Response) -> Received | None:
        if not self._records.received.maxlen:
            return None
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
        return Received(
            scope["method"],
            scope["path"],
            headers,
            body.decode(errors="replace"),
            response.model,
            response.attempt,
        )

    async def _perform(self, plan: list[steps.Step], scope: Scope) -> bool:
        """Do what the plan says. Returns whether the client left before its end."""
        client = scope["extensions"]["sluice.client"]
        try:
            if _short(plan):
                await self._steps(plan, client)
                return False
            return await self._watched(plan, client)
        except (ClientLeft, ClientStalled):
            client.abort()
            return True

    async def _watched(self, plan: list[steps.Step], client: Any) -> bool:
        """Perform a plan that takes its time: a client that leaves ends it at once."""
        with trio.CancelScope() as waiting:
            client.watch(waiting.cancel)
            try:
                await self._steps(plan, client)
            finally:
                client.unwatch()
        if waiting.cancelled_caught:
            client.abort()
        return waiting.cancelled_caught

    async def _steps(self, plan: list[steps.Step], client: Any) -> None:
        for step in plan:
            match step:
                case steps.Start(status, headers):
                    client.start(status, headers)
                case steps.Send(data):
                    await client.send(client.frame(data), _WRITE_TIMEOUT)
                case steps.Finish(data):
                    await client.end(client.frame(data) if data else b"", _WRITE_TIMEOUT)
                case steps.Wait(seconds):
                    await trio.sleep(seconds)
                case steps.Hold():
                    await self._held.park()
                case steps.Hang():
                    await trio.sleep_forever()
                case steps.Cut():
                    client.abort()
                case steps.Reset():
                    client.reset()


def _short(plan: list[steps.Step]) -> bool:
    """Whether nothing in the plan waits: the fast path of a benchmark."""
    return len(plan) == 2


async def _read(receive: Receive) -> bytes:
    event = await receive()
    body: bytes = event.get("body", b"")
    while event.get("more_body"):
        event = await receive()
        body += event.get("body", b"")
    return body


def _key(headers: Headers) -> str | None:
    """The credential, wherever one of the three formats has it."""
    bearer = find(headers, b"authorization")
    if bearer is not None:
        return bearer.removeprefix(b"Bearer ").decode("latin-1")
    key = find(headers, b"x-api-key")
    return None if key is None else key.decode("latin-1")


def _models(scope: Scope) -> object:
    if find(scope["headers"], b"anthropic-version") is not None:
        names = list(BEHAVIOURS)
        data = [_anthropic_model(name) for name in names]
        return {"data": data, "first_id": names[0], "last_id": names[-1], "has_more": False}
    return {"object": "list", "data": [_openai_model(name) for name in BEHAVIOURS]}


def _openai_model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "simulator"}


def _anthropic_model(name: str) -> dict[str, object]:
    tells = f"{name}: {BEHAVIOURS[name].tells}"
    created = "2023-11-14T22:13:20Z"
    return {"type": "model", "id": name, "display_name": tells, "created_at": created}


async def _live(receive: Receive, send: Send) -> None:
    """ASGI's lifespan, in which nothing happens."""
    while True:
        event: Event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return
