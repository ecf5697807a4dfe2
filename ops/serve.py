"""The process of ``sluice serve``: it binds, runs the worker, and ends it on a signal."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator

import trio

from sluice.engine import EngineError
from sluice.http.edge_settings import BACKLOG
from sluice.http.server import bind
from sluice.ops.config import Config
from sluice.ops.logs import get_logger
from sluice.ops.worker import open_worker


def main(config: Config) -> int:
    """Serve until a signal. 0: an orderly end; 1: no start, or an end by force or failure."""
    try:
        listening = bind([config.server.bind], BACKLOG)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        print(f"sluice: cannot listen at {config.server.bind}: {reason}", file=sys.stderr)
        return 1
    return trio.run(_serve, config, listening)


async def _serve(config: Config, listening: list[socket.socket]) -> int:
    code = 0
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:

            async def obey() -> None:
                nonlocal code
                if not await _signals(signals, stop, config.server.drain):
                    code = 1
                    nursery.cancel_scope.cancel()

            nursery.start_soon(obey)
            if not await _run(config, listening, stop):
                code = 1
            nursery.cancel_scope.cancel()
    return code


async def _signals(signals: AsyncIterator[int], stop: trio.Event, drain: float) -> bool:
    """The first signal begins the drain; at the second, return: whatever is left ends now."""
    log = get_logger("sluice.serve")
    async for number in signals:
        name = signal.Signals(number).name
        if stop.is_set():
            log.warning("ended by force", signal=name)
            return False
        log.info("draining", signal=name, seconds=drain)
        stop.set()
    return True


async def _run(config: Config, listening: list[socket.socket], stop: trio.Event) -> bool:
    """Run the worker until ``stop``; whether it ended well."""
    log = get_logger("sluice.serve")
    well = True
    try:
        async with open_worker(config, listening) as worker:
            _spare_the_collector()
            log.info("serving", addresses=worker.addresses)
            await stop.wait()
    except* EngineError:
        log.exception("the service cannot go on")
        well = False
    if well:
        log.info("stopped")
    return well


def _spare_the_collector() -> None:
    """Have the garbage collector look only at what came after the start, and less often.

    What was imported and built by now stays for good: looking through it again and again took
    a tenth of a paced stream's time, in pauses of 20 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
