"""Every key of the configuration, with the rule of its value (contract: *Configuration*).

The defaults are not here but in the structs (`sections`, ``sluice.actors.settings``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from .addresses import base_url, bind, control_address, origin, store_url
from .auth import digest, key_set, public_key
from .mistakes import Refused, shown
from .pem import certificates, private_key
from .rules import (
    Context,
    Rule,
    choice,
    flag,
    items,
    number,
    path,
    rate,
    seconds,
    secret,
    size,
    text,
    whole,
)

WORKERS: Final = 256
"""More processes than any machine has cores for."""


class Table(msgspec.Struct, frozen=True):
    """A table with known keys."""

    keys: dict[str, Rule | Table | Named]
    required: tuple[str, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """A table of tables whose names the operator chooses: ``[providers.NAME]``."""

    entry: Table
    name: Rule
    what: str
    """An entry in words: "provider"."""


Node = Rule | Table | Named


def _workers() -> Rule:
    """A host and so many workers; 0: one process; ``auto``: `sluice.ops.cores.workers_for`."""

    def read(value: object, _: Context) -> int | str:
        if value == "auto":
            return "auto"
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refused(f"{shown(value)} is not a number of workers")
        if value > WORKERS:
            raise Refused(f"{shown(value)} is more than {WORKERS}")
        return value

    allowed = (
        f'0 (one process), 1 to {WORKERS} (a host and so many workers), or "auto" (one a core;'
        " 0 if there is only one)"
    )
    return Rule(allowed, read, whole(0, WORKERS).decode)


def _name(what: str, pattern_allowed: str, extra: str) -> Rule:
    """A name that becomes a label of metrics, where ``other`` is taken (``decision 7``)."""

    def read(value: object, _: Context) -> str:
        name = value if isinstance(value, str) else ""
        plain = name.removesuffix("*") if "*" in extra else name
        if name == "other":
            raise Refused('"other" is what the metrics call all that is not configured')
        fits = all(c.isascii() and (c.isalnum() or c in extra.replace("*", "")) for c in plain)
        if not name or not fits or len(name) > 200:
            raise Refused(f"{shown(name)} is no name for a {what}")
        return name

    return Rule(pattern_allowed, read)


_TIMEOUTS: Final = Table(
    {
        "connect": seconds(),
        "first_chunk": seconds(),
        "idle": seconds(),
        "total": seconds(),
        "client_write": seconds(),
        "heartbeat": seconds(),
    }
)

_BREAKER_FIGURES: Final = {
    "failures": whole(1, 1000),
    "window": seconds(),
    "cooldown": seconds(),
}

_EDGE_LIMITS: Final = Table(
    {
        "body": size(1024, 2**30),
        "head": size(1024, 2**20),
        "json_depth": whole(1, 500),
        "head_timeout": seconds(),
        "body_timeout": seconds(),
        "keepalive_timeout": seconds(),
        "connections": whole(1, 1_000_000),
    }
)

_SERVER: Final = Table(
    {
        "bind": bind(),
        "workers": _workers(),
        "data_dir": path("the path of a folder"),
        "drain": number(0, 86_400, "seconds"),
        "http1": choice("sluice", "hypercorn"),
        "tls_cert": certificates("the path of a PEM file with the certificate chain"),
        "tls_key": private_key(),
        "log_level": choice("debug", "info", "warning", "error"),
        "limits": _EDGE_LIMITS,
    }
)

_PROVIDER: Final = Table(
    {
        "format": choice("openai", "anthropic", "cohere"),
        "base_url": base_url(),
        "api_key": secret(),
        "ca_file": certificates("the path of a PEM file with certificates"),
        "max_idle": whole(0, 100_000, "connections"),
        "keepalive": seconds(),
        "timeouts": _TIMEOUTS,
        "breaker": Table({**_BREAKER_FIGURES}),
    },
    required=("base_url",),
)

_MODEL: Final = Table(
    {
        "provider": text("the name of one of [providers]"),
        "upstream_model": text("what the provider calls the model"),
        "max_tokens": whole(1, 10_000_000, "tokens"),
        "fallback": items(text("the name of one of [models]")),
        "prefill": flag(),
        "context": whole(1, 1_000_000_000, "tokens"),
        "timeouts": _TIMEOUTS,
        "breaker": flag(),
    },
    required=("provider",),
)

TOKEN_NAME: Final = _name("token", "ASCII letters, digits and . _ -", "._-")

_AUTH: Final = Table(
    {
        "anonymous": flag(),
        "forwarded_depth": whole(0, 10, "proxies"),
        "tokens": Named(
            Table({"sha256": digest(), "limit": rate("hour")}, required=("sha256",)),
            TOKEN_NAME,
            "token",
        ),
        "jwt": Table(
            {
                "secret": secret(),
                "key_file": public_key(),
                "jwks_file": key_set(),
                "issuer": text("who signs, as the tokens' iss has it"),
                "audience": items(text("whom the tokens are meant for, as their aud has it")),
                "leeway": number(0, 600, "seconds"),
            }
        ),
    }
)

SCHEMA: Final = Table(
    {
        "server": _SERVER,
        "control": Table({"address": control_address(), "token": secret()}),
        "store": Table(
            {
                "url": store_url(),
                "username": text("the name of a user of the store"),
                "password": secret(),
                "ca_file": certificates("the path of a PEM file with certificates"),
                "timeout": number(0, 1, "seconds", above=True),
                "connect_timeout": seconds(60),
            }
        ),
        "connections": Table(
            {
                "limit": whole(1, 1_000_000),
                "soft_ratio": number(0, 1, above=True),
            }
        ),
        "timeouts": _TIMEOUTS,
        "retries": Table(
            {
                "attempts": whole(0, 10),
                "backoff": number(0, 60, "seconds"),
                "max_wait": number(0, 3600, "seconds"),
                "budget": number(0, 3600, "seconds"),
            }
        ),
        "rescue": Table({"enabled": flag(), "memory": size(1024, 2**26)}),
        "breaker": Table({"enabled": flag(), **_BREAKER_FIGURES}),
        "limits": Table(
            {
                "ip": rate("minute"),
                "user": rate("hour"),
                "token": rate("hour"),
                "replicas": whole(1, 10_000),
            }
        ),
        "auth": _AUTH,
        "cache": Table(
            {
                "ttl": seconds(31_536_000),
                "l1_entries": whole(0, 100_000_000),
                "l2_entries": whole(0, 100_000_000),
                "scope": choice("global", "user", "token"),
            }
        ),
        "queue": Table(
            {"backend": choice("redis", "kafka", "off"), "limit": whole(0, 1_000_000)},
        ),
        "cors": Table({"origins": items(origin())}),
        "providers": Named(
            _PROVIDER,
            _name("provider", "ASCII letters, digits and . _ -", "._-"),
            "provider",
        ),
        "models": Named(
            _MODEL,
            _name(
                "model", 'ASCII letters, digits and . _ - : / @ +, with "*" at its end', "._-:/@+*"
            ),
            "model",
        ),
    }
)

WITHOUT_EFFECT: Final = {
    ("cache",): "nothing is cached",
    ("queue",): "past the connection limit requests get a 429",
}
"""What the contract names and this version does not do yet, with what happens instead."""

HARMLESS: Final = {("queue", "backend"): "off"}
"""Values of those keys that promise nothing."""

SEED_NAMES: Final = {
    "RATE_LIMIT_PER_IP": ("limits", "ip"),
    "RATE_LIMIT_PER_USER": ("limits", "user"),
    "RATE_LIMIT_PER_TOKEN": ("limits", "token"),
    "CONNECTIONS_PER_REPLICA": ("connections", "limit"),
}
"""Variables that the seed uses (its runbook, its scaling section) and the keys they set."""
