"""What an operator decides about the store: ``[store]``."""

from __future__ import annotations

import ssl
from typing import Final

import msgspec

from sluice.actors.settings import Secret

EMBEDDED: Final = "embedded"
"""The URL of who has no store: we start one."""


class StoreSettings(msgspec.Struct, frozen=True):
    """One store. ``url`` is one that `address.parse` reads, or `EMBEDDED`."""

    url: str = EMBEDDED
    username: str | None = None
    password: Secret | None = None
    ca_file: str | None = None
    """A PEM file of certificates to trust instead of the system's; for TLS only."""
    timeout: float = 0.05
    """Seconds that a request may lose to the store, in all."""
    connect_timeout: float = 1.0
    """Seconds to an open, verified connection. No request waits for one."""

    def tls_context(self) -> ssl.SSLContext:
        """A context that verifies who the store is. Raises `OSError` if the file is no good."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
