"""A world for the application: fakes of the actors, and a client that calls it as ASGI does."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import trio

from sluice.actors.metrics.metrics import Figures, Render, Vitals
from sluice.actors.metrics.pages import Page
from sluice.actors.metrics.reports import RequestReport
from sluice.actors.settings import ModelSettings, ProviderSettings, Routing
from sluice.actors.slots.connections import Count, SlotsInUse
from sluice.actors.streams.client import Client
from sluice.actors.streams.job import Job
from sluice.actors.streams.streams import NotAccepting
from sluice.engine import AskTimeout, Ref
from sluice.http.app import Application, build_app
from sluice.http.callers.identity import Identity
from sluice.http.http1.exchange import EXTENSION
from sluice.http.services import AppServices, AppSettings, Lifecycle, ProviderState

ROUTING = Routing(
    providers={"openai": ProviderSettings("openai", "http://127.0.0.1:1/v1")},
    models={
        "gpt-4o": ModelSettings("gpt-4o", "openai"),
        "fast": ModelSettings("fast", "openai", upstream_model="gpt-4o-mini"),
        "sim-*": ModelSettings("sim-*", "openai"),
    },
)


class FakeActor:
    """Answers by message type, or never, or with an error."""

    def __init__(self, replies: dict[type[Any], Any]) -> None:
        self.replies = replies
        self.told: list[Any] = []
        self.error: Exception | None = None
        self.silent = False

    async def ask(self, message: Any, *, timeout: float = 5.0) -> Any:
        if self.silent:
            await trio.sleep(timeout)
            raise AskTimeout("fake", "no reply")
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return self.replies[type(message)]

    def tell_nowait(self, message: Any) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(message)


class FakeStreams:
    """Takes jobs, and answers each with 200 ``ran`` through its client."""

    def __init__(self) -> None:
        self.accepting = True
        self.jobs: list[Job] = []

    async def run(self, job: Job, client: Client) -> None:
        if not self.accepting:
            raise NotAccepting
        self.jobs.append(job)
        headers = [(b"x-request-id", job.request_id.encode()), *job.headers]
        await client.respond(200, headers, b"ran", 5.0)


class Answer(msgspec.Struct):
    """What a client got."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value.decode() for key, value in self.headers if key == name.encode()]
        return ", ".join(values) if values else None

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.json["error"])


class World:
    """The application and everything around it."""

    def __init__(
        self,
        settings: AppSettings | None = None,
        routing: Routing = ROUTING,
        identity: Identity | None = None,
    ) -> None:
        self.streams = FakeStreams()
        self.lifecycle: Lifecycle = "serving"
        self.states: dict[str, ProviderState] = {"openai": "ok"}
        self.connections = FakeActor({Count: SlotsInUse(3, 100, 80, False, 0)})
        self.metrics = FakeActor({Figures: Vitals(3, 100, 28.4, 0.8), Render: Page(b"sse 1\n")})
        self.reports: list[RequestReport] = []
        self.small: list[RequestReport] = []
        self.app: Application = build_app(
            AppServices(
                streams=self.streams,
                routing=routing,
                metrics=cast("Ref", self.metrics),
                connections=cast("Ref", self.connections),
                providers=lambda: dict(self.states),
                identity=identity or Identity(),
                report=self.reports.append,
                log_small=self.small.append,
                lifecycle=lambda: self.lifecycle,
                version="1.2.3",
                settings=settings or AppSettings(),
            )
        )

    async def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        events: list[dict[str, Any]] | None = None,
        client: object = None,
    ) -> Answer:
        """One request; ``events`` instead of ``body`` are what `receive` gives.

        ``client``: what our own edge has in the scope, to be written to instead of `send`.
        """
        path, _, query = target.partition("?")
        pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": pairs if "Host" in (headers or {}) else [(b"host", b"test"), *pairs],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "extensions": {EXTENSION: client} if client is not None else {},
        }
        coming = list(events or [{"type": "http.request", "body": body, "more_body": False}])
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await trio.lowlevel.checkpoint()
            if not coming:
                await trio.sleep_forever()
            return coming.pop(0)

        async def send(event: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(event)

        await self.app(scope, receive, send)
        starts = [event for event in sent if event["type"] == "http.response.start"]
        if not starts:
            return Answer(0, [], b"")
        parts = [event.get("body", b"") for event in sent if event is not starts[0]]
        return Answer(starts[0]["status"], list(starts[0]["headers"]), b"".join(parts))

    async def chat(self, body: Any, **options: Any) -> Answer:
        """``POST /v1/chat/completions``."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.call("POST", "/v1/chat/completions", raw, **options)

    @property
    def job(self) -> Job:
        """The one job that the streams got."""
        (job,) = self.streams.jobs
        return job

    @property
    def upstream_body(self) -> bytes:
        """What the provider would get."""
        model = self.job.model
        return self.job.asked.body_for("openai", model.upstream_model, max_tokens=model.max_tokens)

    @property
    def upstream(self) -> Any:
        """The body that the provider would get, decoded."""
        return msgspec.json.decode(self.upstream_body)

    @property
    def report(self) -> RequestReport:
        """The one report."""
        (report,) = self.reports
        return report
