"""The simulator on a socket: an ASGI application that performs plans on the edge's `Client`."""

from __future__ import annotations

import functools
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import trio

from sluice.actors.failures import ClientLeft, ClientStalled
from sluice.actors.streams.client import Client
from sluice.actors.streams.pump import EpollPoller, Pump
from sluice.http.asgi import JSON, Event, Receive, Scope, Send, answer, find
from sluice.http.edge_settings import EdgeSettings
from sluice.http.edge_state import EdgeState
from sluice.http.http1.exchange import EXTENSION
from sluice.http.server import serve as serve_edge

from . import steps
from .anthropic import Anthropic
from .behaviour import BEHAVIOURS
from .cohere import Cohere
from .dialect import Dialect, Identity, Problem
from .openai import OpenAI
from .records import Received, Records
from .simulation import Response, Simulation
from .steps import Headers

_logger = logging.getLogger(__name__)
_WRITE_TIMEOUT = 60.0
"""Seconds that a client may let its answer wait."""
_OPENAI = OpenAI()
_DIALECTS: dict[str, Dialect] = {
    "/v1/chat/completions": _OPENAI,
    "/v1/messages": Anthropic(),
    "/v2/chat": Cohere(),
}
_LARGE = 64 * 1024
"""Bytes that a socket may not take at once."""
_STARTED = 1_700_000_000
"""When all models were made, as far as ``GET /v1/models`` is asked."""


class _Client(Client, Protocol):
    """What the edge gives us: a `Client` that can also be reset, and declare a length."""

    def start(self, status: int, headers: Headers, whole: int | None = None) -> None:
        """Set the head. ``whole``: the body's length, for ``content-length``."""

    def reset(self) -> None:
        """Close the connection with a TCP reset."""


class App:
    """The simulator as an ASGI application, for a server with our `Client` in its scopes."""

    def __init__(self, simulation: Simulation, records: Records) -> None:
        self._simulation = simulation
        self.records = records
        self._pages: dict[tuple[str, str], Callable[[Scope], object]] = {
            ("GET", "/v1/models"): _models,
            ("GET", "/sim/statistics"): lambda _: self.records.statistics(),
            ("GET", "/sim/requests"): lambda _: list(self.records.received),
            ("POST", "/sim/release"): lambda _: {"released": self.records.release()},
        }

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
            status, body = _OPENAI.problem(problem, None, Identity("chatcmpl-0", _STARTED))
            await answer(send, status, [JSON], body)

    async def _complete(self, dialect: Dialect, scope: Scope, receive: Receive) -> None:
        body = await _read(receive)
        response = self._simulation.respond(dialect, body, scope["headers"])
        received = self._received(scope, body, response)
        self.records.begin(received, response.model, response.attempt)
        left = True
        try:
            left = await self._perform(response.plan, scope)
        finally:
            self.records.finish(left=left)

    def _received(self, scope: Scope, body: bytes, response: Response) -> Received | None:
        if not self.records.received.maxlen:
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
        client: _Client = scope["extensions"][EXTENSION]
        try:
            if _short(plan):
                await self._steps(plan, client)
                return False
            return await self._watched(plan, client)
        except (ClientLeft, ClientStalled):
            client.abort()
            return True

    async def _watched(self, plan: list[steps.Step], client: _Client) -> bool:
        """Perform a plan that takes its time: a client that leaves ends it at once."""
        with trio.CancelScope() as waiting:
            client.watch(waiting.cancel)
            try:
                await self._steps(plan, client)
            finally:
                client.unwatch()
        if waiting.cancelled_caught:
            client.abort()
            return True
        return False

    async def _steps(self, plan: list[steps.Step], client: _Client) -> None:
        for step in plan:
            match step:
                case steps.Start(status, headers, length):
                    client.start(status, headers, length)
                case steps.Send(data):
                    await client.send(client.frame(data), _WRITE_TIMEOUT)
                case steps.Finish(data):
                    await client.end(client.frame(data) if data else b"", _WRITE_TIMEOUT)
                case steps.Wait(seconds):
                    await trio.sleep(seconds)
                case steps.Hold():
                    await self.records.hold()
                case steps.Hang(every, comment):
                    await _hang(client, every, comment)
                case steps.Cut():
                    client.abort()
                case steps.Reset():
                    client.reset()


async def serve(
    app: App,
    sockets: Sequence[socket.socket],
    *,
    certfile: str | None = None,
    keyfile: str | None = None,
    shutdown_trigger: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` on listening ``sockets``, until ``shutdown_trigger`` returns or for ever."""
    settings = EdgeSettings(max_connections=100_000, drain=1.0, certfile=certfile, keyfile=keyfile)
    edge = EdgeState(settings)
    app.records.attach(edge)
    pump = Pump(EpollPoller, _log_fault)
    run = functools.partial(
        serve_edge, app, sockets, settings, pump, state=edge, shutdown_trigger=shutdown_trigger
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        async with trio.open_nursery() as serving:
            task_status.started(await serving.start(run))
        nursery.cancel_scope.cancel()


def _log_fault(fault: BaseException) -> None:
    _logger.error("the simulator's pump failed", exc_info=fault)


def _short(plan: list[steps.Step]) -> bool:
    """Whether nothing in the plan waits: the fast path of a benchmark."""
    match plan:
        case [steps.Start(), steps.Finish(data)]:
            return len(data) < _LARGE
    return False


async def _hang(client: _Client, every: float, comment: bytes) -> None:
    """Wait for the client to leave, with a sign of life ``every`` so many seconds."""
    while every:
        await trio.sleep(every)
        await client.send(client.frame(comment), _WRITE_TIMEOUT)
    await trio.sleep_forever()


async def _read(receive: Receive) -> bytes:
    event = await receive()
    body: bytes = event.get("body", b"")
    while event.get("more_body"):
        event = await receive()
        body += event.get("body", b"")
    return body


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
