"""Reads the configuration again when asked to, and has the service take what it can."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from sluice.actors.breakers.circuits import Circuits
from sluice.engine import EngineError
from sluice.ops import logs
from sluice.ops.config import Config, ConfigurationError
from sluice.ops.limits import descriptors_for, raise_descriptors
from sluice.ops.notify import Notifier
from sluice.ops.reload import Plan, pem_files, plan

T = TypeVar("T")


class Reloadable(Protocol):
    """A running service: one process, or a host with its workers."""

    config: Config
    """In force."""

    @property
    def several(self) -> bool:
        """Whether there are workers, which can be replaced."""

    async def adopt(self, found: Plan) -> None:
        """Have ``found.config`` in force. Raises `EngineError`; then the old one is."""


class Resizable(Protocol):
    """The slots of a replica: `Slots`, or the `Leases` of several workers."""

    def resize(self, limit: int, soft_ratio: float) -> None:
        """Another limit from now on."""


class Reloader:
    """Reloads, one after the other, of what ``read`` returns; the manager is told of each."""

    def __init__(self, read: Callable[[], Config], notifier: Notifier) -> None:
        self._read = read
        self._notifier = notifier
        self._log = logs.get_logger("sluice.reload")
        self._asked = trio.Event()
        self._prints: dict[str, str] = {}

    def ask(self) -> None:
        """Read the configuration again, once more if that has begun."""
        self._asked.set()

    async def run(self, service: Reloadable, status: str) -> None:
        """Do so for ever; ``status`` is what the manager is told when it is done."""
        self._prints = await _in_thread(lambda: _prints(service.config))
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            self._notifier.reloading()
            await self._reload(service)
            self._notifier.ready(status)

    async def _reload(self, service: Reloadable) -> None:
        try:
            new = await _in_thread(self._read)
        except ConfigurationError as problem:
            mistakes = [str(each) for each in problem.mistakes]
            self._log.error("configuration not taken: it has mistakes", mistakes=mistakes)
            return
        prints = await _in_thread(lambda: _prints(new))
        files = [name for name, said in prints.items() if self._prints.get(name, said) != said]
        found = plan(service.config, new, several=service.several, files=files)
        if await self._adopt(service, found):
            self._prints = prints

    async def _adopt(self, service: Reloadable, found: Plan) -> bool:
        """Whether ``found`` is in force now."""
        if found.restart:
            self._log.warning("these need a restart, and stay as they were", keys=found.restart)
        notices = found.config.notices
        if notices and notices != service.config.notices:
            self._log.warning("configuration", notices=[str(notice) for notice in notices])
        try:
            await service.adopt(found)
        except EngineError as problem:
            self._log.error("configuration not taken", problem=str(problem))
            return False
        self._log.info("configuration taken", live=found.live, workers=found.workers)
        return True


def make_live(found: Plan, slots: Resizable, circuits: Circuits) -> None:
    """What can change at once does."""
    config = found.config
    circuits.configure(config.circuits)
    slots.resize(config.connections.limit, config.connections.soft_ratio)
    if "server.log_level" in found.live:  # an operator's own level stays otherwise
        logs.set_level(config.server.log_level)
    idle = sum(provider.max_idle for provider in config.providers.values())
    streams = descriptors_for(config.connections.limit)
    raise_descriptors(streams + config.server.limits.connections + idle)


def _prints(config: Config) -> dict[str, str]:
    """A digest of each file that the configuration names and workers read when they start."""
    return {name: _digest(name) for name in pem_files(config)}


def _digest(name: str) -> str:
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except OSError as problem:  # it was there when the configuration was checked
        return str(problem)


async def _in_thread(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
