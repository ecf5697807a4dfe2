"""The way from a provider while one answer is relayed, as a flow sees it."""

from __future__ import annotations

from typing import Protocol


class Upstream(Protocol):
    """What a flow needs of a provider's connection (see `sluice.actors.upstream`)."""

    @property
    def fd(self) -> int:
        """The socket's descriptor."""

    @property
    def complete(self) -> bool:
        """Whether the body has ended as its framing says."""

    def receive_nowait(self) -> bytes:
        """Body bytes of one read. Raises `BlockingIOError`, `UpstreamFault`."""

    async def receive(self) -> bytes:
        """The same, waiting for something to read."""
