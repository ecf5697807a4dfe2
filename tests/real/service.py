"""The whole service on loopback, with the simulator behind it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import trio
from tests.actors.fakes import UNLIMITED

from sluice.actors.settings import ModelSettings, ProviderSettings, Secret, Timeouts
from sluice.http.server import bind
from sluice.ops.config import Config, CorsSettings, ServerSettings
from sluice.ops.config.sections import Http1
from sluice.ops.simulator.inside import Simulator, open_simulator
from sluice.ops.simulator.options import Options
from sluice.ops.worker import Worker, open_worker

PATIENCE = 60.0
"""Seconds after which a test that waits for a real program has failed."""

KEY = "sk-simulator"
"""What the simulator insists on, and no client of ours knows."""

T = TypeVar("T")


class Service(msgspec.Struct):
    """A running service. ``url`` is its root."""

    url: str
    worker: Worker
    simulator: Simulator

    @property
    def base_url(self) -> str:
        """What the OpenAI SDKs are given."""
        return self.url + "/v1"


@asynccontextmanager
async def open_service(
    *,
    timeouts: Timeouts | None = None,
    options: Options | None = None,
    origins: tuple[str, ...] = (),
    http1: Http1 = "sluice",
) -> AsyncIterator[Service]:
    """Sluice in front of a simulator, in this process; its models are ``sim-*``."""
    async with open_simulator(options=options, api_key=KEY) as simulator:
        provider = ProviderSettings("simulator", simulator.base_url, api_key=Secret(KEY))
        model = ModelSettings("sim-*", "simulator", timeouts=timeouts or Timeouts())
        config = Config(
            server=ServerSettings(bind="127.0.0.1:0", drain=1.0, http1=http1),
            limits=UNLIMITED,
            providers={"simulator": provider},
            models={"sim-*": model, "sim-ok": msgspec.structs.replace(model, name="sim-ok")},
            cors=CorsSettings(origins),
        )
        listening = bind([config.server.bind], 100)
        port = listening[0].getsockname()[1]
        async with open_worker(config, listening) as worker:
            yield Service(f"http://127.0.0.1:{port}", worker, simulator)


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """A blocking call, beside the service."""
    with trio.fail_after(PATIENCE):
        return await trio.to_thread.run_sync(
            functools.partial(function, *args, **options), abandon_on_cancel=True
        )
