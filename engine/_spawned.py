"""One process of the operating system: spawned, linked, brought down, and always reaped.

Its task is the system's, not its actor's, so that one that was replaced can finish although its
actor ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from ._events import Kind
from ._frame import Stop
from ._join import VARIABLE, Place
from ._link import PEER_CLOSED, Link

if TYPE_CHECKING:
    from ._links import Links
    from ._process import ProcessSpec

GRACE: Final = 1.0
"""Seconds that a process whose link has ended has to end by itself, and its link if it has."""


REAPING: Final = 10.0
"""Seconds that a process may take to die of SIGKILL; one that hangs in the kernel is given up."""


class Spawned:
    """One process; `begin` starts it."""

    def __init__(self, spec: ProcessSpec, links: Links, path: str) -> None:
        self._spec = spec
        self._links = links
        self._path = path
        self._launches = links.launches(spec.name)
        self._launches.started += 1
        self.generation = self._launches.started
        self.link: Link
        self.settled = trio.Event()
        """It has said that it is ready, or has ended."""
        self.exited = trio.Event()
        """It has ended, and is reaped."""
        self.stopping = False
        self.ending = ""
        """How it ended."""
        self._cause = ""
        self._was_killed = False
        self._process: trio.Process | None = None
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Spawned {self._spec.name!r} generation {self.generation} pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        """Its id; None before it has one, and after it has ended."""
        return None if self._process is None or self.exited.is_set() else self._process.pid

    def begin(self) -> None:
        """Start it, in a task of the system's."""
        self._launches.running.append(self)
        self._links.spawn(self._run, name=f"{self._spec.name} generation {self.generation}")

    def kill(self) -> None:
        """End it at once; `exited` is set when it is reaped. Idempotent."""
        self._scope.cancel()

    def terminate(self) -> None:
        """SIGTERM, and no more. One that has ended already hears nothing of it."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def retire(self, drain: float) -> None:
        """Take it down the ladder in a task of the system's: another one has taken its place."""
        self.stopping = True
        self._launches.draining.append(self)
        self._links.spawn(self.stop, drain, name=f"{self._spec.name} pid {self.pid} drains")

    async def stop(self, drain: float) -> None:
        """The ladder: ask, wait ``drain`` seconds; SIGTERM, wait; SIGKILL, and wait.

        One whose link has ended cannot be asked: it has `GRACE`, if that is less than ``drain``.
        """
        self.stopping = True
        why = f"not ended {drain:g} s after it was asked"
        if self.link.ended.is_set():
            why = f"cannot be asked, lost its link ({self.link.reason})"
            drain = min(drain, GRACE)
        self.link.send(Stop(drain))
        with trio.move_on_after(drain):
            await self.exited.wait()
            return
        if self._process is not None:
            self._tell("process_signalled", f"SIGTERM: {why}")
            self.terminate()
        with trio.move_on_after(self._spec.terminate):
            await self.exited.wait()
            return
        self._cause = "ignored SIGTERM"
        self.kill()
        await self.exited.wait()

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._live()
        except Exception as fault:  # noqa: BLE001 -- it is the process's end, not the system's
            what = "could not be started" if self._process is None else "could not be kept"
            self._cause = f"{what}: {type(fault).__name__}: {fault}"
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + REAPING):
                await self._kill_and_wait()
            self._finish()

    async def _live(self) -> None:
        await self._spawn()
        if self._process is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_link)
            nursery.start_soon(self._wait_ready)
            await self._process.wait()
            with trio.move_on_after(GRACE):  # what it said last is read
                await self.link.ended.wait()
            self._blame_link()
            nursery.cancel_scope.cancel()

    async def _spawn(self) -> None:
        """Spawn it with its end of a link. Raises what `subprocess.Popen` does."""
        here, there = socket.socketpair()
        with there:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(here))
            self.link = Link(self._links, stream, self._spec.name)
            try:
                with trio.CancelScope(shield=True):  # a process that nobody knows is nobody's
                    process = self._process = await self._open(there.fileno())
            except BaseException:
                here.close()
                raise
        self._tell("process_started", f"pid {process.pid}")

    async def _open(self, descriptor: int) -> trio.Process:
        spec = self._spec
        place = Place(descriptor, spec.name, self._links.process, self.generation)
        environment = dict(os.environ if spec.env is None else spec.env)
        environment[VARIABLE] = str(place)
        return await trio.lowlevel.open_process(
            list(spec.argv),
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=(descriptor, *spec.pass_fds),
            process_group=0,
        )

    async def _keep_link(self) -> None:
        await self.link.run()
        await trio.sleep(GRACE)
        if not self.stopping:
            self._cause = f"lost its link ({self.link.reason})"
            self.kill()

    def _blame_link(self) -> None:
        """Of a process that has exited: tell what had ended its link, if not just that exit."""
        reason = self.link.reason
        if reason and not reason.startswith(PEER_CLOSED):
            self._cause = self._cause or f"lost its link ({reason})"

    async def _wait_ready(self) -> None:
        await self.link.ready.wait()
        self.settled.set()

    async def _kill_and_wait(self) -> None:
        """Kill what is still there, and reap it: nothing is left behind."""
        process = self._process
        if process is not None and process.poll() is None:
            self._was_killed = True
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _finish(self) -> None:
        returncode = None if self._process is None else self._process.returncode
        parts = [self._cause, "" if returncode is None else describe_exit(returncode)]
        self.ending = " and ".join(filter(None, parts)) or "was not started"
        self._launches.exits += self._process is not None
        self._launches.last_exit = self.ending
        self._launches.running.remove(self)
        if self in self._launches.draining:
            self._launches.draining.remove(self)
        if self._process is not None:
            kind: Kind = "process_killed" if self._was_killed else "process_exited"
            self._tell(kind, f"pid {self._process.pid} {self.ending}")
        self.exited.set()
        self.settled.set()

    def _tell(self, kind: Kind, detail: str) -> None:
        self._links.tell(kind, self._path, self.generation, detail)


def describe_exit(returncode: int) -> str:
    """In words: ``exited with code 3``, ``was ended by SIGKILL``."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"
