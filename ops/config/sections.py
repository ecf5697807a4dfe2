"""What a checked configuration is to the program: frozen, complete, with its defaults."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from sluice.actors.settings import (
    BreakerSettings,
    ConnectionSettings,
    LimitSettings,
    ModelSettings,
    ProviderSettings,
    RescueSettings,
    RetrySettings,
    Routing,
    Secret,
    Timeouts,
)
from sluice.actors.store import StoreSettings
from sluice.http import edge_settings
from sluice.http.callers.auth_settings import AuthSettings

from .mistakes import Notice

Http1 = Literal["sluice", "hypercorn"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _data_dir() -> str:
    return os.path.expanduser("~/.local/share/sluice")  # noqa: PTH111 -- a user without a home is no error here


class EdgeLimits(msgspec.Struct, frozen=True):
    """What one request may be: ``[server.limits]``. Sizes in bytes, times in seconds."""

    body: int = edge_settings.BODY_LIMIT
    """More is answered with 413."""
    head: int = edge_settings.HEAD_LIMIT
    """Request line and headers; more is answered with 431."""
    json_depth: int = 64
    """Objects and arrays within each other; SDKs need about ten."""
    head_timeout: float = edge_settings.HEAD_TIMEOUT
    """For a head to arrive; after that the answer is 408."""
    body_timeout: float = edge_settings.BODY_TIMEOUT
    """For a body to arrive, more for a large one that keeps coming; likewise."""
    keepalive_timeout: float = edge_settings.KEEPALIVE_TIMEOUT
    """That a connection may wait for its next request."""
    connections: int = edge_settings.MAX_CONNECTIONS
    """Open at once, idle ones included. Unless set, twice ``[connections] limit`` if larger."""


class ServerSettings(msgspec.Struct, frozen=True):
    """``[server]``: this process and its door."""

    bind: str = "127.0.0.1:8000"
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:/PATH``."""
    workers: int | Literal["auto"] = "auto"
    """Processes below a host; 0: all in one; ``auto``: one a core, and 0 if there is only one."""
    data_dir: str = msgspec.field(default_factory=_data_dir)
    drain: float = 60.0
    """Seconds that live streams get to end after SIGTERM or SIGINT."""
    http1: Http1 = "sluice"
    """Whose HTTP/1.1: our own, or Hypercorn's (slower, without the write timeout)."""
    tls_cert: str | None = None
    tls_key: str | None = None
    log_level: LogLevel = "info"
    limits: EdgeLimits = EdgeLimits()


class ControlSettings(msgspec.Struct, frozen=True):
    """``[control]``: where operators reach the service."""

    address: str | None = None
    """``unix:/PATH`` or a loopback ``HOST:PORT``; None: a Unix socket in ``data_dir``."""
    token: Secret | None = None
    """What operators must know to come in over TCP."""


class CorsSettings(msgspec.Struct, frozen=True):
    """``[cors]``: the origins whose pages may call us from a browser. None: CORS is off."""

    origins: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All that an operator decided, checked."""

    server: ServerSettings = ServerSettings()
    connections: ConnectionSettings = ConnectionSettings()
    timeouts: Timeouts = Timeouts()
    retries: RetrySettings = RetrySettings()
    rescue: RescueSettings = RescueSettings()
    breaker: BreakerSettings = BreakerSettings()
    limits: LimitSettings = LimitSettings()
    auth: AuthSettings = AuthSettings()
    cors: CorsSettings = CorsSettings()
    store: StoreSettings | None = None
    """None: there is none, as in tests; what is loaded always has one."""
    control: ControlSettings = ControlSettings()
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    source: str = ""
    """The file it came from, as given; empty: defaults and environment only."""
    notices: tuple[Notice, ...] = ()
    """What the operator should know although it works."""

    @property
    def secrets(self) -> list[str]:
        """What no log line may hold."""
        found = [provider.api_key for provider in self.providers.values()]
        found.append(None if self.store is None else self.store.password)
        found.append(None if self.auth.jwt is None else self.auth.jwt.secret)
        found.append(self.control.token)
        return [secret.value for secret in found if secret is not None]

    @property
    def routing(self) -> Routing:
        """Which provider serves which model."""
        return Routing(self.providers, self.models)

    @property
    def circuits(self) -> dict[str, BreakerSettings]:
        """Every circuit breaker there is, by its name."""
        return self.routing.circuits(self.breaker)
