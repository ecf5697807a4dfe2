"""A host and its workers, as operators see and command them: one tree, one status, all events.

A worker is asked over its link, and is given `PATIENCE` seconds to answer. One that does not is
shown as not answering; nobody waits longer for it than that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import trio

from sluice.actors.breakers.breaker import BreakerOrder
from sluice.actors.slots.connections import Count
from sluice.engine import ActorError, AskTimeout, EngineError, NotPossible, ProcessGone
from sluice.engine import Done as EngineDone
from sluice.engine import Event as EngineEvent
from sluice.http.services import Lifecycle
from sluice.ops import logs
from sluice.ops.ending import GRACE
from sluice.ops.host import Host
from sluice.ops.place import HOST, identity
from sluice.ops.worker import VERSION

from .breaking import operate, standings
from .controlled import OnHappened
from .figures import Glance
from .limits import changed, told
from .merging import Answers, Generation, process_status, whole_tree
from .nearest import nothing_at
from .orders import Action, LimitTo, LogFrom, Order, Refusal, Survey, Surveyed
from .paths import WORKERS, Target, target_of
from .protocol import (
    BreakerStatus,
    Draining,
    LevelSet,
    LimitKind,
    LimitsSet,
    LogLevel,
    Node,
    Outcome,
    ProcessStatus,
    Refused,
    ServiceStatus,
)
from .refusals import refuse
from .sight import Home, happened, node_of, outcome_of, paths_of
from .usage import usage_of
from .worker import glance_of

PATIENCE: Final = 1.0
"""Seconds that a worker has to say how it is, or to begin with an order."""


class ControlledReplica:
    """A `Controlled` of a host; ``end`` begins the orderly end of the service."""

    def __init__(self, host: Host, end: Callable[[], None]) -> None:
        self._host = host
        self._end = end
        self._home = Home(HOST, os.getpid())

    async def status(self) -> ServiceStatus:
        """How it is."""
        host = self._host
        with suppress(ActorError):  # then what the workers told last is shown
            await host.system.ref("connections").ask(Count(), timeout=PATIENCE)
        answers = await self._survey()
        own = host.system.statistics()
        said = [each for each in answers.values() if isinstance(each, Surveyed)]
        return ServiceStatus(
            state=_state_of(host, said),
            version=VERSION,
            uptime=own.uptime,
            addresses=tuple(host.addresses),
            streams=host.live(),
            connections=len(host.slots),
            connection_limit=host.slots.limit,
            actors=own.actors + sum(each.actors for each in said),
            crashes=own.crashes + sum(each.crashes for each in said),
            restarts=own.restarts + sum(each.restarts for each in said),
            log_level=logs.set_level(None)[0],
            processes=(self._own_process(), *self._processes(answers)),
            breakers=standings(host),
            limits=told(host.limits),
        )

    async def tree(self) -> Node:
        """All supervisors and actors; each worker's below the child that stands for it."""
        answers = await self._survey()
        generations = {name: self._current(name) for name in self._host.names}
        return whole_tree(self._own_tree(), answers, generations)

    async def restart(self, path: str) -> Outcome:
        """Stop what is at ``path`` in order, and start it anew.

        What holds connections in a worker is restarted by replacing that worker, drained.
        """
        target = await self._target(path)
        if target.holds_connections:
            return await self._replace(target)
        if target.process:
            return await self._order("restart", target)
        refuse("restart", target, several=True)
        return self._told(await self._host.restart(target.actor))

    async def pause(self, path: str) -> Outcome:
        """Let its mail wait."""
        target = await self._target(path)
        refuse("pause", target, several=True)
        if target.process:
            return await self._order("pause", target)
        self._refuse_worker(target, "paused")
        return outcome_of(await self._host.system.pause(target.actor))

    async def resume(self, path: str) -> Outcome:
        """End a pause."""
        target = await self._target(path)
        if target.process:
            return await self._order("resume", target)
        self._refuse_worker(target, "resumed")
        return outcome_of(await self._host.system.resume(target.actor))

    async def stop(self, path: str) -> Outcome:
        """Stop it until it is restarted."""
        target = await self._target(path)
        refuse("stop", target, several=True)
        if target.process and target.actor:
            return await self._order("stop", target)
        actor = f"{WORKERS}/{target.process}" if target.process else target.actor
        return self._told(await self._host.system.stop(actor))

    def drain(self) -> Draining:
        """Begin the end, as on SIGTERM."""
        self._end()
        return Draining(self._host.live(), self._host.config.server.drain)

    async def log_level(self, level: LogLevel | None) -> LevelSet:
        """Log from ``level`` on, in all processes."""
        now, before = logs.set_level(level)
        missed = () if level is None else await self._tell_all(LogFrom(level))
        return LevelSet(now, before, missed)

    async def limit(self, kind: LimitKind | None, rate: str | None) -> LimitsSet:
        """Limit the callers of ``kind`` to ``rate``, in all processes."""
        host, before = self._host, self._host.limits
        missed: tuple[str, ...] = ()
        if kind is not None and rate is not None:
            host.limits = changed(before, host.config.limits, kind, rate)
            missed = await self._tell_all(LimitTo(host.limits))
        return LimitsSet(told(host.limits), told(before), missed)

    async def breaker(self, name: str, order: BreakerOrder | None) -> list[BreakerStatus]:
        """Have the circuit breakers ``name`` obey; None: change nothing."""
        return await operate(self._host, name, order)

    async def glance(self) -> Glance:
        """The replica's counters and gauges, now."""
        return await glance_of(self._host)

    def listen(self, on_happened: OnHappened) -> Callable[[], None]:
        """Have the events of all processes told from now on."""

        def watch(event: EngineEvent) -> None:
            on_happened(happened(event, self._home))

        def end() -> None:
            self._host.watchers.discard(watch)
            self._host.desk.listeners.discard(on_happened)
            self._host.breakers.listeners.discard(on_happened)

        self._host.watchers.add(watch)
        self._host.desk.listeners.add(on_happened)
        self._host.breakers.listeners.add(on_happened)
        return end

    # What there is.

    def _own_tree(self) -> Node:
        return node_of(self._host.system.tree(), self._host.actors(), self._home)

    def _own_process(self) -> ProcessStatus:
        pid = os.getpid()
        usage = usage_of(pid)
        uptime = self._host.system.statistics().uptime
        return ProcessStatus(HOST, pid, self._host.state, uptime, 0, usage.cpu, usage.memory)

    def _processes(self, answers: Answers) -> list[ProcessStatus]:
        """All workers, those included that were replaced and are still finishing."""
        held = self._host.slots.by_process()
        return [
            process_status(
                each,
                answers[name],
                usage_of(each.pid),
                held.get(identity(name, each.number), 0),
            )
            for name in self._host.names
            for each in (self._current(name), *self._draining(name))
        ]

    def _current(self, name: str) -> Generation:
        domain = self._host.process(name)
        if domain is None:
            return Generation(name, None, self._host.links.launches(name).started)
        return Generation(name, domain.pid, domain.generation)

    def _draining(self, name: str) -> list[Generation]:
        found = self._host.links.draining(name)
        return [Generation(name, each.pid, each.generation, draining=True) for each in found]

    async def _target(self, path: str) -> Target:
        """What ``path`` leads to. Raises `Refused` if that is nothing, with what was meant."""
        target = target_of(path, HOST, self._host.names)
        if target is None:
            there = ", ".join([HOST, *self._host.names])
            raise Refused("unknown_path", f"{path!r} names no process; there are: {there}")
        if not target.process and not self._has(target.actor):
            raise await self._unknown(path)
        return target

    def _has(self, actor: str) -> bool:
        return not actor or actor in paths_of(self._own_tree())

    async def _unknown(self, path: str) -> Refused:
        return Refused("unknown_path", nothing_at(path, paths_of(await self.tree())))

    def _refuse_worker(self, target: Target, what: str) -> None:
        first, _, name = target.actor.partition("/")
        if first == WORKERS and name:
            raise NotPossible(
                f"{target.actor} is a process, which cannot be {what}: its actors can, such as"
                f" metrics@{name}"
            )

    # What the workers are asked.

    async def _survey(self) -> Answers:
        """What each worker says of itself now; all are asked at the same time."""
        answers: dict[str, Surveyed | str] = {}
        async with trio.open_nursery() as nursery:
            for name in self._host.names:
                nursery.start_soon(self._ask_how_it_is, name, answers)
        return answers

    async def _ask_how_it_is(self, name: str, answers: dict[str, Surveyed | str]) -> None:
        try:
            surveyed = await self._host.control(name).ask(Survey(), timeout=PATIENCE)
        except ActorError as problem:
            answers[name] = why_silent(problem)
        else:
            answers[name] = surveyed

    async def _tell_all(self, order: LogFrom | LimitTo) -> tuple[str, ...]:
        """Tell ``order`` to all workers at the same time; those that did not answer."""
        missed: list[str] = []
        async with trio.open_nursery() as nursery:
            for name in self._host.names:
                nursery.start_soon(self._tell, name, order, missed)
        return tuple(sorted(missed))

    async def _tell(self, name: str, order: LogFrom | LimitTo, missed: list[str]) -> None:
        try:
            await self._host.control(name).ask(order, timeout=PATIENCE)
        except ActorError:
            missed.append(name)

    async def _replace(self, target: Target) -> Outcome:
        was = "replaced" if self._current(target.process).pid else "started"
        done = self._told(await self._host.restart(f"{WORKERS}/{target.process}"))
        detail = f"it holds connections, so {target.process} was {was}: {done.detail}"
        return msgspec.structs.replace(done, path=str(target), detail=detail)

    def _told(self, done: EngineDone) -> Outcome:
        """What a command did; to a worker, which generation of it there is now."""
        supervisor, _, name = done.path.partition("/")
        is_worker = supervisor == WORKERS and bool(name)
        generation = self._host.links.launches(name).started if is_worker else 0
        return outcome_of(done, generation=generation)

    async def _order(self, action: Action, target: Target) -> Outcome:
        """What came of an order to a worker. Raises `Refused`."""
        began = trio.current_time()
        with self._host.desk.order() as waiting:
            try:
                order = Order(waiting.number, action, target.actor)
                waiting.process = await self._host.control(target.process).ask(
                    order, timeout=PATIENCE
                )
            except ActorError as problem:
                raise Refused("failed", f"{target}: {why_no_order(problem, target)}") from problem
            with trio.move_on_after(self._host.config.server.drain + 2 * GRACE + PATIENCE):
                finished = await waiting.wait()
                if finished.outcome is not None:
                    return finished.outcome
                raise await self._refused(target, finished.refusal)
        seconds = trio.current_time() - began
        raise Refused("failed", f"{target}: {target.process} is still at it after {seconds:.0f} s")

    async def _refused(self, target: Target, refusal: Refusal | None) -> Refused:
        if refusal is None:
            return Refused("failed", f"{target}: {target.process} did not say what came of it")
        if refusal.code == "unknown_path":
            return await self._unknown(str(target))
        return Refused(refusal.code, f"{target}: {refusal.message}")


def _state_of(host: Host, said: list[Surveyed]) -> Lifecycle:
    """Of the service: stopped if all that serves it is."""
    state = host.lifecycle()
    stopped = bool(said) and all(each.state == "stopped" for each in said)
    return "stopped" if stopped and state == "serving" else state


def why_no_order(problem: EngineError, target: Target) -> str:
    """Why a worker took no order, and what can be done."""
    what = "starts one" if isinstance(problem, ProcessGone) else "puts another in its place"
    return f"{why_silent(problem)}; `sluice restart {WORKERS}/{target.process}` {what}"


def why_silent(problem: EngineError) -> str:
    """Why a worker says nothing, in few words."""
    if isinstance(problem, AskTimeout):
        return f"does not answer: nothing came within {PATIENCE:g} s"
    if isinstance(problem, ProcessGone):
        return "there is no such process now"
    return f"does not answer: {problem}"
