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

MAX_TOKENS: Final = 4096
"""What `ModelSettings.max_tokens` is by default: the least that a current model can write."""


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
    """From sending the request to the end of the stream, whoever goes on with its answer."""
    client_write: float = 30.0
    """For a client to take bytes that wait for it."""
    heartbeat: float = 15.0
    """Silence towards a client after which it gets a comment line."""


class BreakerSettings(msgspec.Struct, frozen=True):
    """When a circuit breaker opens, and for how long (``seed 4.1``, ``decision 11``)."""

    enabled: bool = True
    """False: no breaker stands before any call, and none counts."""
    failures: int = 5
    """Consecutive ones that open it."""
    window: float = 60.0
    """Seconds within which they come."""
    cooldown: float = 60.0
    """Seconds that it is open, until one probe is let through."""

    def changed(self, own: OwnBreaker) -> BreakerSettings:
        """These, with what a provider has of its own."""
        return BreakerSettings(
            self.enabled,
            self.failures if own.failures is None else own.failures,
            self.window if own.window is None else own.window,
            self.cooldown if own.cooldown is None else own.cooldown,
        )


class OwnBreaker(msgspec.Struct, frozen=True):
    """What a provider's breakers have instead of ``[breaker]``'s; None: the same."""

    failures: int | None = None
    window: float | None = None
    cooldown: float | None = None


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
    breaker: OwnBreaker = OwnBreaker()


class ModelSettings(msgspec.Struct, frozen=True):
    """One model that clients may ask for. A name may end in ``*`` and then is a prefix."""

    name: str
    provider: str
    upstream_model: str | None = None
    """What the provider calls it; None: what the client called it."""
    timeouts: Timeouts = Timeouts()
    fallback: tuple[str, ...] = ()
    """Models to ask in its place, in this order, when it cannot answer."""
    context: int | None = None
    """Tokens that it takes, if that is known."""
    max_tokens: int = MAX_TOKENS
    """Of an answer whose length the client does not bound, where the provider's format needs a
    bound (Anthropic's)."""
    prefill: bool = False
    """Whether it continues a message of the assistant's that the request ends with."""
    breaker: bool = False
    """Whether a circuit breaker of its own guards it, instead of its provider's."""

    @property
    def circuit(self) -> str:
        """The name of the breaker that guards it: ``openai``, or ``openai/gpt-4o``."""
        return f"{self.provider}/{self.name}" if self.breaker else self.provider


class RetrySettings(msgspec.Struct, frozen=True):
    """``[retries]``: how often and how long an answer is asked for, before its first byte."""

    attempts: int = 2
    """Of one model, after the first."""
    backoff: float = 0.5
    """Seconds before the first of them at most, doubled for each further one; full jitter."""
    max_wait: float = 10.0
    """Seconds before any of them at most; a longer ``Retry-After`` is not waited for."""
    budget: float = 60.0
    """Seconds after the first call in which others may begin, of whatever model."""


class RescueSettings(msgspec.Struct, frozen=True):
    """Streams that break off after their first byte (architecture: *A stream's life*, 7)."""

    enabled: bool = True
    memory: int = 262_144
    """Bytes of a provider's answer that are kept for it, a stream; a longer one is not rescued."""


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
        """The entry for ``model``: its own name first, then the longest matching prefix.

        One that was found by its prefix says what the provider is to call the model.
        """
        exact = self.models.get(model)
        if exact is not None and not exact.name.endswith("*"):
            return exact
        patterns = [
            entry
            for entry in self.models.values()
            if entry.name.endswith("*") and model.startswith(entry.name[:-1])
        ]
        found = max(patterns, key=lambda entry: len(entry.name), default=None)
        if found is None or found.upstream_model is not None:
            return found
        return msgspec.structs.replace(found, upstream_model=model)

    def guards(self) -> dict[tuple[str, str], str]:
        """For each provider and model, the name of the circuit breaker that guards it."""
        return {(each.provider, each.name): each.circuit for each in self.models.values()}

    def circuits(self, breaker: BreakerSettings) -> dict[str, BreakerSettings]:
        """Every circuit breaker there is, by its name."""
        found = {
            name: breaker.changed(provider.breaker) for name, provider in self.providers.items()
        }
        for model in self.models.values():
            if model.breaker and model.provider in found:
                found[model.circuit] = found[model.provider]
        return found
