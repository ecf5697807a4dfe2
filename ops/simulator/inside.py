"""The simulator inside of another program, usually a test."""

from __future__ import annotations

import functools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from .options import Options
from .records import Received, Records, Statistics
from .server import App, serve
from .simulation import Simulation


class Simulator:
    """A running simulator.

    ``url`` is its root, as the Anthropic and Cohere SDKs want it, ``base_url`` the root of its
    OpenAI routes (``.../v1``).
    """

    def __init__(self, records: Records, port: int, scheme: str) -> None:
        self._records = records
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.base_url = self.url + "/v1"

    def __repr__(self) -> str:
        return f"<Simulator {self.url} {self.statistics}>"

    @property
    def statistics(self) -> Statistics:
        """What it counted so far."""
        return self._records.statistics()

    @property
    def requests(self) -> list[Received]:
        """The last requests, oldest first."""
        return list(self._records.received)

    async def wait(self, condition: Callable[[Statistics], bool]) -> Statistics:
        """Return the statistics as soon as ``condition`` holds for them. Has no deadline."""
        return await self._records.wait(condition)

    def release(self) -> int:
        """Let all streams go on that their option ``hold`` holds. Returns how many."""
        return self._records.release()


@asynccontextmanager
async def open_simulator(
    *,
    seed: int = 1,
    options: Options | None = None,
    api_key: str | None = None,
    keep: int = 100,
    certificate: tuple[str, str] | None = None,
) -> AsyncIterator[Simulator]:
    """A simulator on a free port of loopback, for the time of the block.

    Args:
        seed: of all that is random.
        options: for what a model's name leaves open.
        api_key: the credential it insists on.
        keep: how many requests it remembers.
        certificate: paths of a chain and its key (PEM), to speak TLS.
    """
    records = Records(seed, keep)
    app = App(Simulation(seed, options or Options(), api_key), records)
    chain, key = certificate or (None, None)
    running = functools.partial(serve, certfile=chain, keyfile=key)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        listening.setblocking(False)
        async with trio.open_nursery() as nursery:
            await nursery.start(running, app, [listening])
            scheme = "http" if certificate is None else "https"
            yield Simulator(records, listening.getsockname()[1], scheme)
            nursery.cancel_scope.cancel()
