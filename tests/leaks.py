"""No test leaves a slot, a permit, a connection or a descriptor behind, whatever it is about.

Asserted after every test, and by no test itself:

* descriptors: of every test's own process, by `tests.descriptors` in ``tests/conftest.py``;
* a service in the test's process: by `nothing_left`, in ``tests/service/world.py``,
  ``tests/service/operators_world.py`` and ``tests/real/service.py``;
* a service that is a process of its own: by `nothing_left_at`, in the fixtures that start it.

What a client, a provider or a test has only just let go of may take a moment to be seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import httpx2
import msgspec
import trio

from sluice.actors.slots.connections import Count
from sluice.ops.worker import Worker

PATIENCE: Final = 30.0
"""Seconds after which what is still there is left: many times what it takes to go."""

_CONNECTED: Final = {"01", "08"}
"""Of a TCP connection: established, or closed by the other side alone."""


class Left(msgspec.Struct, frozen=True):
    """What of past requests is still there."""

    slots: int = 0
    streams: int = 0
    permits: int = 0
    probes: int = 0
    calls: int = 0
    """Of providers, each with a connection."""
    clients: int = 0
    """Connections of clients that have left, and of such as have not."""


NOTHING: Final = Left()


# -- in this process -----------------------------------------------------------------------


async def nothing_left(worker: Worker) -> None:
    """Return as soon as no request has left anything in ``worker``, which serves."""
    left = await _left_in(worker)
    with trio.move_on_after(PATIENCE):
        while left != NOTHING:
            await trio.sleep(0.005)
            left = await _left_in(worker)
    assert left == NOTHING, left


async def _left_in(worker: Worker) -> Left:
    """Its slots are counted by their manager, as long as there is one."""
    slots = worker.system.ref("connections")
    return Left(
        slots=(await slots.ask(Count())).active if worker.state == "serving" else 0,
        streams=len(worker.streams.live),
        permits=worker.permits.held,
        probes=len(worker.breakers.circuits.probes),
        calls=sum(each.statistics().open_calls for each in worker.providers.values()),
    )


# -- in a process of its own ---------------------------------------------------------------


async def nothing_left_at(process: trio.Process, port: int) -> None:
    """Return as soon as no request has left anything in the service at ``port``, or it has ended.

    It is asked for its metrics, as operators do; its clients' connections are counted by the
    kernel, whichever of its processes has them.
    """
    left: Left | None = None
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        with trio.move_on_after(PATIENCE):
            while process.poll() is None and left != NOTHING:
                try:
                    page = await client.get("/metrics", headers={"Connection": "close"})
                except httpx2.TransportError:
                    pass  # The worker that was asked ends, or is not replaced yet.
                else:
                    left = _told(page.text, port)
                await trio.sleep(0.01)
    assert process.returncode is not None or left == NOTHING, left


def _told(exposition: str, port: int) -> Left:
    calls = slots = 0.0
    for line in exposition.splitlines():
        name, _, value = line.rpartition(" ")
        if name == "sse_active_connections":
            slots += float(value)
        elif name.startswith("sse_provider_connections{") and 'state="active"' in name:
            calls += float(value)
    return Left(slots=int(slots), calls=int(calls), clients=_connected(port))


def _connected(port: int) -> int:
    """Connections at ``port`` of this machine that its owner has not closed."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in _CONNECTED for row in rows)
