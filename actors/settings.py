"""What an operator decides about providers, models and streams, as the actors take it.

``sluice.ops.config`` reads these from a file; nothing here reads anything.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Period = Literal["second", "minute", "hour", "day"]

_SECONDS: Final[dict[str, int]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

MOST_IN_A_WINDOW: Final = 100_000
"""Requests that a `Rate` may allow: each is a number in the store while it counts, a megabyte in
all for a caller who uses all of it."""


class Secret(msgspec.Struct, frozen=True):
    """A value that is used and never shown: its ``repr`` and ``str`` are stars."""

    value: str

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


class Timeouts(msgspec.Struct, frozen=True):
    """How long each part of a stream may take, in seconds. All are on by default."""

    connect: float = 5.0
    """To an open (for HTTPS: verified) connection to the provider."""
    first_chunk: float = 10.0
    """From sending the request to the first content or reasoning; not for whole answers."""
    idle: float = 30.0
    """Between two pieces from the provider, its pings included."""
    total: float = 3600.0
    """From sending the request to the end of the stream."""
    client_write: float = 30.0
    """For a client to take bytes that wait for it."""
    heartbeat: float = 15.0
    """Silence towards a client after which it gets a comment line."""


class ProviderSettings(msgspec.Struct, frozen=True):
    """One provider: where it is, what it speaks, how we identify ourselves to it."""

    name: str
    base_url: str
    format: str = "openai"
    api_key: Secret | None = None
    ca_file: str | None = None
    """A PEM file of certificates to trust instead of the system's."""
    max_idle: int = 256
    """Idle connections kept for the next request."""
    keepalive: float = 55.0
    """Seconds an idle connection is kept."""


class ModelSettings(msgspec.Struct, frozen=True):
    """One model that clients may ask for. A name may end in ``*`` and then is a prefix."""

    name: str
    provider: str
    upstream_model: str | None = None
    """What the provider calls it; None: what the client called it."""
    timeouts: Timeouts = Timeouts()


class ConnectionSettings(msgspec.Struct, frozen=True):
    """Slots of this replica (``decision 12``, ``decision 24``)."""

    limit: int = 100
    soft_ratio: float = 0.8


class Rate(msgspec.Struct, frozen=True):
    """So many requests in any window of that length."""

    count: int
    per: Period

    @property
    def seconds(self) -> int:
        """The window's length."""
        return _SECONDS[self.per]

    def __str__(self) -> str:
        return f"{self.count}/{self.per}"


class LimitSettings(msgspec.Struct, frozen=True):
    """What a caller may ask, by what he is known by (``seed 5``); None: he is not limited."""

    ip: Rate | None = Rate(100, "minute")
    user: Rate | None = Rate(1000, "hour")
    token: Rate | None = Rate(10_000, "hour")
    replicas: int = 1
    """That share the limits. Asked only while the store is away: then each counts its part."""


class Routing(msgspec.Struct, frozen=True):
    """Which provider serves which model."""

    providers: dict[str, ProviderSettings]
    models: dict[str, ModelSettings]

    def find(self, model: str) -> ModelSettings | None:
        """The entry for ``model``: its own name first, then the longest matching prefix."""
        exact = self.models.get(model)
        if exact is not None and not exact.name.endswith("*"):
            return exact
        patterns = [
            entry
            for entry in self.models.values()
            if entry.name.endswith("*") and model.startswith(entry.name[:-1])
        ]
        return max(patterns, key=lambda entry: len(entry.name), default=None)
