"""What the application needs of the worker it runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from sluice.actors.metrics.reports import RequestReport
from sluice.actors.settings import Routing
from sluice.actors.streams.client import Client
from sluice.actors.streams.job import Job
from sluice.engine import Ref

from .callers.identity import Identity

Lifecycle = Literal["starting", "serving", "draining", "stopped"]
"""``stopped``: by an operator, until it is restarted. Whoever asks is answered 503."""
ProviderState = Literal["ok", "degraded", "down"]
"""``degraded``: not answering just now, for it is starting again; ``down``: it has ended."""


class StreamService(Protocol):
    """Runs streams: `sluice.actors.streams.streams.Streams`."""

    @property
    def accepting(self) -> bool:
        """Whether a new stream would be taken; False while draining."""

    async def run(self, job: Job, client: Client) -> None:
        """The whole life of one stream. Returns when the client has all that it gets."""


class AppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about the routes."""

    body_limit: int = 10 * 1024 * 1024
    """Bytes of a request's body; our own edge holds it too, and earlier."""
    json_depth: int = 64
    """How deep the JSON of a request may nest."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may read our answers; ``*``: all. Empty: CORS is off."""


class AppServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the application is built on."""

    streams: StreamService
    routing: Routing
    metrics: Ref
    connections: Ref
    providers: Callable[[], dict[str, ProviderState]]
    """Every configured provider, as it is now. Synchronous."""
    store_trouble: Callable[[], str | None] | None = None
    """What the store is, such as ``passed by: ...``; None while nothing is the matter. Synchronous.

    No function: no store.
    """
    identity: Identity = msgspec.field(default_factory=Identity)
    """Tells who is calling. Unless said otherwise, by addresses alone."""
    report: Callable[[RequestReport], None]
    """Told of each request to a streaming route, once: to log it and to count it."""
    log_small: Callable[[RequestReport], None]
    """Told of each other one: probes, scrapes, preflights, and what is not there."""
    lifecycle: Callable[[], Lifecycle]
    version: str
    settings: AppSettings = AppSettings()
