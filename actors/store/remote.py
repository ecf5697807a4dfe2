"""The actor that stands for a configured store, so that operators see it in the tree."""

from __future__ import annotations

from typing import Final

from sluice.engine import Actor

from .client import StoreClient, StoreStatistics

PATIENCE: Final = 1.0
"""Seconds that the start waits for the store; after that it goes on without."""


class RemoteStore(Actor):
    """A store that others run. The service starts without it, and says so in ``/health``."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def on_start(self) -> None:
        """Ready when the store is usable, or not in time."""
        await self._client.usable(PATIENCE)

    def statistics(self) -> StoreStatistics:
        """A snapshot."""
        return self._client.statistics()
