"""The program of a worker process: started by its host, never by hand."""

from __future__ import annotations

import os
import signal
import socket
import sys

import msgspec
import trio

from sluice.engine import EngineError, LinkLost, join
from sluice.http.spread import Spread
from sluice.ops import logs
from sluice.ops.collector import spare_the_collector
from sluice.ops.config import Config
from sluice.ops.limits import descriptors_for, raise_descriptors
from sluice.ops.place import CONFIGURATION, LISTENING, PROTOCOL, SPREAD, place_of
from sluice.ops.worker import Worker, open_worker


def main() -> int:
    """Serve until the host says stop, or is gone."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's, and so the host's to act on
        signal.signal(number, signal.SIG_IGN)
    config = _configuration()
    idle = sum(provider.max_idle for provider in config.providers.values())
    needed = descriptors_for(config.connections.limit)
    raise_descriptors(needed + config.server.limits.connections + idle)
    with logs.open_log(sys.stderr.fileno(), config.server.log_level, secrets=config.secrets):
        return trio.run(_serve, config)


async def _serve(config: Config) -> int:
    well = True
    logger = logs.get_logger("sluice.member")
    try:
        await _run(config)
    except* LinkLost as lost:  # no traceback: where the worker was then explains nothing
        logger.warning("the worker has lost its host", reason=str(lost.exceptions[0]))
        well = False
    except* EngineError:
        logger.exception("the worker cannot go on")
        well = False
    return 0 if well else 1


async def _run(config: Config) -> None:
    async with join(PROTOCOL) as joined:
        place = place_of(joined.process, joined.generation)
        logs.name_process(place.process)
        async with trio.open_nursery() as nursery:
            spread = _spread(joined.generation)
            async with open_worker(config, _listening(), place, joined.links, spread) as worker:
                spare_the_collector()
                with trio.CancelScope() as serving:
                    orders = _Orders(worker, serving)
                    await nursery.start(orders.obey)
                    joined.ready()
                    await joined.wait_stop()
            nursery.cancel_scope.cancel()  # not before: a drain can be hurried, too


class _Orders:
    """SIGTERM is the host's last word before SIGKILL; whoever says it, the worker ends."""

    def __init__(self, worker: Worker, serving: trio.CancelScope) -> None:
        self._worker = worker
        self._serving = serving

    async def obey(  # noqa: ASYNC114 -- started in no context manager
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """For ever."""
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                self._worker.hurry()
                self._serving.cancel()


def _configuration() -> Config:
    """As the host has checked it."""
    descriptor = int(os.environ.pop(CONFIGURATION))
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    return msgspec.msgpack.decode(content, type=Config)


def _listening() -> list[socket.socket]:
    descriptors = [int(word) for word in os.environ.pop(LISTENING).split(",")]
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for each in sockets:
        each.setblocking(False)
        each.set_inheritable(False)
    return sockets


def _spread(generation: int) -> Spread:
    descriptor, place = map(int, os.environ.pop(SPREAD).split(":"))
    try:
        return Spread(descriptor, place, generation)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
