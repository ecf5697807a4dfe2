"""The process of ``sluice serve``: it binds, runs the worker, and ends it on a signal."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import trio

from sluice.engine import EngineError
from sluice.http.edge_settings import BACKLOG
from sluice.http.server import bind
from sluice.ops.collector import spare_the_collector
from sluice.ops.config import Config
from sluice.ops.control.controlled import Controlled
from sluice.ops.control.place import CannotListen
from sluice.ops.control.replica import ControlledReplica
from sluice.ops.control.serving import open_for_operators
from sluice.ops.control.worker import ControlledWorker
from sluice.ops.cores import usable_cores, workers_for
from sluice.ops.host import Host, open_host
from sluice.ops.logs import get_logger
from sluice.ops.notify import Notifier
from sluice.ops.reloading import Reloader
from sluice.ops.signals import OBEYED, release
from sluice.ops.worker import Worker, open_worker


def main(config: Config, read: Callable[[], Config]) -> int:
    """Serve until a signal. 0: an orderly end; 1: no start, or an end by force or failure.

    ``read``: reads the configuration again, on SIGHUP. Raises `ConfigurationError`.
    """
    notifier = Notifier.of(os.environ)
    try:
        listening = bind([config.server.bind], BACKLOG)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        print(f"sluice: cannot listen at {config.server.bind}: {reason}", file=sys.stderr)
        return 1
    return trio.run(_serve, _Service(config, read, notifier), listening)


async def _serve(service: _Service, listening: list[socket.socket]) -> int:
    with trio.open_signal_receiver(*OBEYED) as signals:
        release()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.obey, signals)
            await service.run(listening)
            nursery.cancel_scope.cancel()
    return 0 if service.well else 1


class _Service:
    """One run. The first signal ends the start, or begins the drain; the second ends all now.

    SIGHUP has the configuration read again, once it serves.
    """

    def __init__(self, config: Config, read: Callable[[], Config], notifier: Notifier) -> None:
        self.well = True
        self._notifier = notifier
        self._reloader = Reloader(read, notifier)
        self._config = config
        self._log = get_logger("sluice.serve")
        self._start = trio.CancelScope()
        self._stop = trio.Event()
        self._worker: Worker | Host | None = None

    async def run(self, listening: list[socket.socket]) -> None:
        """Run the worker until a signal, and through its drain."""
        try:
            with self._start:  # cancelled, if at all, before there is a worker
                async with (
                    open_for_operators(self._config, self._log) as control,
                    self._open(listening) as self._worker,
                ):
                    control.controlled = _controlled(self._worker, self._drain)
                    spare_the_collector()
                    self._log.info("serving", addresses=self._worker.addresses)
                    await self._serve(self._worker)
        except* CannotListen as problems:
            for each in listening:
                each.close()
            print(f"sluice: {problems.exceptions[0]}", file=sys.stderr)
            self.well = False
        except* EngineError:
            self._log.exception("the service cannot go on")
            self.well = False
        if self.well:
            self._log.info("stopped")

    async def _serve(self, worker: Worker | Host) -> None:
        """Until it is to stop."""
        status = f"serving at {', '.join(worker.addresses)}"
        self._notifier.ready(status)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reloader.run, worker, status)
            await self._stop.wait()
            nursery.cancel_scope.cancel()

    def _open(self, listening: list[socket.socket]) -> AbstractAsyncContextManager[Worker | Host]:
        """One process, or a host with its workers."""
        workers = workers_for(self._config.server.workers, usable_cores())
        if not workers:
            return open_worker(self._config, listening)
        return open_host(self._config, listening, workers)

    async def obey(self, signals: AsyncIterator[int]) -> None:
        """Do what signals say."""
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                self._reloader.ask()
            elif self._stop.is_set():
                self._end_now(name)
            else:
                self._stop.set()
                self._end_in_order(name)

    def _drain(self) -> None:
        """An operator's word is as good as a signal; given twice, it does not end by force."""
        if not self._stop.is_set():
            self._stop.set()
            self._end_in_order("none: an operator's command")

    def _end_in_order(self, name: str) -> None:
        self._notifier.stopping(f"draining, for {self._config.server.drain:g} s at most")
        if self._worker is None:
            self._log.info("ending the start", signal=name)
            self._start.cancel()
        else:
            self._log.info("draining", signal=name, seconds=self._config.server.drain)

    def _end_now(self, name: str) -> None:
        if self._worker is None:
            _leave(name)
        self._log.warning("ended by force", signal=name)
        self.well = False
        self._worker.hurry()


def _controlled(service: Worker | Host, end: Callable[[], None]) -> Controlled:
    """What operators see: one process, or a host with its workers."""
    if isinstance(service, Host):
        return ControlledReplica(service, end)
    return ControlledWorker(service, end)


def _leave(name: str) -> NoReturn:
    """End the process as it is: a start that does not end in order serves nobody yet.

    There is no stream to be told, and nothing is stored. The log's thread is not waited for.
    """
    try:
        print(f"sluice: {name}: ended by force while starting", file=sys.stderr, flush=True)
    finally:  # also if nobody reads standard error any more
        os._exit(1)
