"""The whole service on loopback, with the simulator behind it.

At its end nothing of any request is left in it (`tests.leaks`).
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import trio
from tests.actors.fakes import UNLIMITED
from tests.leaks import nothing_left

from sluice.actors.settings import (
    BreakerSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
    Secret,
    Timeouts,
)
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
    fallbacks: Mapping[str, Sequence[str]] | None = None,
) -> AsyncIterator[Service]:
    """Sluice in front of a simulator, in this process; its models are ``sim-*``.

    ``fallbacks`` adds some, each by its name and by those of its fallbacks.
    """
    async with open_simulator(options=options, api_key=KEY) as simulator:
        provider = ProviderSettings("simulator", simulator.base_url, api_key=Secret(KEY))
        model = ModelSettings("sim-*", "simulator", timeouts=timeouts or Timeouts())
        config = Config(
            server=ServerSettings(bind="127.0.0.1:0", drain=1.0, http1=http1),
            limits=UNLIMITED,
            providers={"simulator": provider},
            models={
                "sim-*": model,
                "sim-ok": msgspec.structs.replace(model, name="sim-ok"),
                **{
                    name: msgspec.structs.replace(model, name=name, fallback=tuple(others))
                    for name, others in (fallbacks or {}).items()
                },
            },
            cors=CorsSettings(origins),
            retries=RetrySettings(backoff=0.01),
            breaker=BreakerSettings(failures=1000),
        )
        async with _running(config, simulator) as service:
            yield service


@asynccontextmanager
async def open_formats(
    formats: Iterable[str],
    models: Mapping[str, str],
    *,
    timeouts: Timeouts | None = None,
    options: Options | None = None,
) -> AsyncIterator[Service]:
    """Sluice in front of a simulator that is a provider of each of ``formats``.

    ``models``: names for the simulator's own. Who asks for one adds the format: ``NAME-FORMAT``.
    """
    async with open_simulator(options=options, api_key=KEY) as simulator:
        config = Config(
            server=ServerSettings(bind="127.0.0.1:0", drain=1.0),
            providers={
                each: ProviderSettings(
                    each,
                    simulator.base_url if each == "openai" else simulator.url,
                    each,
                    Secret(KEY),
                )
                for each in formats
            },
            models={
                f"{name}-{each}": ModelSettings(
                    f"{name}-{each}", each, upstream, timeouts or Timeouts()
                )
                for each in formats
                for name, upstream in models.items()
            },
        )
        async with _running(config, simulator) as service:
            yield service


@asynccontextmanager
async def _running(config: Config, simulator: Simulator) -> AsyncIterator[Service]:
    listening = bind([config.server.bind], 100)
    port = listening[0].getsockname()[1]
    async with open_worker(config, listening) as worker:
        yield Service(f"http://127.0.0.1:{port}", worker, simulator)
        await nothing_left(worker)


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """A blocking call, beside the service."""
    with trio.fail_after(PATIENCE):
        return await trio.to_thread.run_sync(
            functools.partial(function, *args, **options), abandon_on_cancel=True
        )
