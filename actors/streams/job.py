"""What a stream begins with: what is asked, and what its worker has for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import msgspec

from sluice.actors.breakers.permits import Permits
from sluice.actors.formats.format import Asked, ClientFormat
from sluice.actors.limits.callers import Caller
from sluice.actors.limits.limiter import Limiter
from sluice.actors.metrics.reports import RequestReport
from sluice.actors.providers.provider import ProviderClient
from sluice.actors.settings import ModelSettings, RescueSettings, RetrySettings, Routing
from sluice.actors.slots.returns import Returns
from sluice.engine import Ref

from .pump import Pump
from .scan import Scan


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A validated request: what is asked of whom, and how the client wants to hear it.

    ``arrived`` and ``validated`` are `trio.current_time` of the request's arrival and of the end
    of its validation.
    """

    request_id: str
    route: str
    model: ModelSettings
    streamed: bool
    asked: Asked
    format: ClientFormat
    caller: Caller
    arrived: float
    validated: float
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """More headers for the client, such as those of CORS."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream needs of the worker it lives in."""

    limiter: Limiter
    connections: Ref
    returns: Returns
    """Where slots are given back."""
    providers: Mapping[str, ProviderClient]
    pump: Pump
    scan: Scan
    spawn: Callable[..., None]
    """Start a task beside the streams' own: ``spawn(async_function, *args)``."""
    report: Callable[[RequestReport], None]
    """Told once of each stream, when it has ended: to log it and to count it."""
    on_fault: Callable[[BaseException], None]
    routing: Routing = Routing({}, {})
    """Where fallbacks are found."""
    retries: RetrySettings = RetrySettings()
    rescue: RescueSettings = RescueSettings()
    chance: Callable[[], float] = random.random
    """From 0 to 1, for the jitter of retries."""
    permits: Permits = msgspec.field(default_factory=Permits)
    """Of the circuit breakers, to call providers."""
