"""A Valkey of a measurement's own, as the service starts it, and the service's client of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from sluice.actors.store import EmbeddedStore, Place, StoreClient, StoreSettings, open_client
from sluice.engine import ChildSpec, SupervisorSpec, open_system
from sluice.ops.store import find_program

from . import family

PATIENCE: Final = 5.0
"""Seconds that an operation may take: what is slow on a busy machine is measured, not passed by."""

_START = 30.0


@asynccontextmanager
async def own_store(folder: str, core: int) -> AsyncIterator[tuple[StoreClient, int]]:
    """A client, and the process id of its Valkey, which has ``core`` and keeps ``folder``.

    Both end with the block.
    """
    place = Place.below(folder)
    client = open_client(StoreSettings(timeout=PATIENCE), address=place.address)
    server = ChildSpec(
        "embedded", lambda: EmbeddedStore(find_program(), place, client), start_timeout=_START
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.serve)  # noqa: ASYNC113 -- what is asked before waits for it
        async with open_system(SupervisorSpec("root", [server])):
            (valkey,) = family.stores(os.getpid())
            os.sched_setaffinity(valkey, {core})
            yield client, valkey
        nursery.cancel_scope.cancel()
