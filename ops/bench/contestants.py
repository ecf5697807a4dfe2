"""What every contestant has: a program, and an address for each kind of stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path

import msgspec

from .programs import Ground, Program

ROUTE = "/v1/chat/completions"


class Kind(StrEnum):
    """How the upstream streams, and over what a contestant reaches it."""

    AT_ONCE = "at-once"
    PACED = "paced"
    HELD = "held"
    """A chunk every few seconds until it is released."""
    AT_ONCE_TLS = "at-once-tls"
    PACED_TLS = "paced-tls"
    LEAVING = "leaving"
    """The provider is the load's own (``leaving.py``): it sees when its connection is closed."""

    @property
    def folder(self) -> str:
        """The part of the upstream's path that selects it."""
        return self.value.removesuffix("-tls")


class Address(msgspec.Struct, frozen=True):
    """Where on 127.0.0.1 a contestant takes requests for one kind of stream."""

    port: int
    path: str
    model: str

    @property
    def url(self) -> str:
        """The same, as an URL."""
        return f"http://127.0.0.1:{self.port}{self.path}"


class Upstream(msgspec.Struct, frozen=True):
    """The provider before which all are measured: its ports on 127.0.0.1, its certificate."""

    plain: int
    tls: int
    leaving: int
    """Where ``leaving.py`` will listen."""
    certificate: Path

    def port(self, kind: Kind) -> int:
        """Of the provider for ``kind``."""
        if kind is Kind.LEAVING:
            return self.leaving
        return self.tls if is_tls(kind) else self.plain


class Contestant(msgspec.Struct, frozen=True):
    """One that is measured, while it runs."""

    name: str
    program: Program
    addresses: Mapping[Kind, Address]


Starter = Callable[[Ground, Upstream], AbstractContextManager[Contestant]]
"""Starts a contestant before an upstream; leaving the context ends it."""


def is_tls(kind: Kind) -> bool:
    """Whether the upstream is reached over HTTPS."""
    return kind.value.endswith("-tls")


def pass_through(ports: Mapping[int, int], upstream: Upstream) -> dict[Kind, Address]:
    """The addresses of a plain proxy: the upstream's paths, on the port that leads there.

    ``ports``: from a port of the upstream to the proxy's for it.
    """
    return {
        kind: Address(ports[upstream.port(kind)], f"/{kind.folder}{ROUTE}", "bench")
        for kind in Kind
        if upstream.port(kind) in ports
    }
