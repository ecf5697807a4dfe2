"""The store of who configured none: Valkey as a child process, in a folder of its own.

It listens at a Unix socket only, in a folder that only we may enter. Every write is in its
append-only file before it is answered; the file is flushed to the disk once a second
(``appendfsync everysec``): a Valkey that is killed loses nothing, a machine that loses power at
most a second. ``always`` would have each limit and each cache entry wait for the disk, which may
take longer than a request is allowed to lose. What must not be lost says so (``WAITAOF``).

*Who may use the folder.* One host at a time: it holds a lock on a file in it, which the kernel
takes from a host that is killed. Such a host's Valkey is told to end by the kernel (`child`), and
does, its file intact. One that is left all the same, because it was stopped, is ended by the next
start, not adopted: so the running one always is our child, with our settings, and its exit is
always seen. It is found by the socket, of which the kernel tells who listens there.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from sluice.engine import Actor

from .address import UNIX_PATH, SocketAddress
from .child import Child
from .client import StoreClient
from .dial import PING, converse
from .errors import LinkFailed
from .replies import FULL, Reply

STOP: Final = 3.0
"""Seconds that a server has to end by itself after SIGTERM."""
POLL: Final = 0.01
"""Seconds between looks at whether a server is ready."""
_LOG_TAIL: Final = 2000
_CREDENTIALS: Final = struct.Struct("3i")


class StoreStartError(Exception):
    """The embedded store does not start; ``str()`` says why, and what to do."""


class Place(msgspec.Struct, frozen=True):
    """The folder of one embedded store, below a data directory."""

    folder: Path

    @classmethod
    def below(cls, data_dir: str) -> Place:
        """The place in ``data_dir``."""
        return cls(Path(data_dir).absolute() / "store")

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "valkey.sock"

    @property
    def log(self) -> Path:
        """What it has to say."""
        return self.folder / "valkey.log"

    @property
    def address(self) -> SocketAddress:
        """For a client."""
        return SocketAddress(str(self.socket))


def take(place: Place) -> int:
    """Make the folder and lock it; return the lock's descriptor. Raises `StoreStartError`."""
    if len(os.fsencode(place.socket)) > UNIX_PATH:
        raise StoreStartError(
            f"[server] data_dir is too long for a socket in it: {place.socket} has more than "
            f"{UNIX_PATH} bytes"
        )
    with _told(place):
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.folder.chmod(0o700)
        lock = os.open(place.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with _told(place):
        _lock(place, lock)
    return lock


def _lock(place: Place, lock: int) -> None:
    """Lock the folder by the descriptor ``lock``, which is closed if that fails."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace")
        os.close(lock)
        raise StoreStartError(
            f"another sluice (process {holder}) uses {place.folder}: give each its own [server] "
            "data_dir, or both one [store] url"
        ) from None
    except BaseException:
        os.close(lock)
        raise


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """What the system refuses in the block is a `StoreStartError`, which says what to do."""
    try:
        yield
    except OSError as problem:
        raise StoreStartError(
            f"the embedded store cannot use {place.folder}: {problem.strerror}; set [server] "
            "data_dir to a folder that can be written, or [store] url to a Redis or Valkey"
        ) from problem


def listener(place: Place) -> int | None:
    """The process that listens at the socket, or None.

    Raises `StoreStartError` if one does that has not answered anybody for long.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(place.socket))
        except (TimeoutError, BlockingIOError):
            raise StoreStartError(
                f"a server that does not answer listens at {place.socket}: end it"
            ) from None
        except OSError:
            return None
        told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process: int = _CREDENTIALS.unpack(told)[0]
    return process


async def end_leftover(place: Place) -> int | None:
    """End the server that a killed host has left; return its process id, None if there is none."""
    process = listener(place)
    if process is None:
        return None
    try:
        watched = os.pidfd_open(process)
    except ProcessLookupError:
        return None
    try:
        signal.pidfd_send_signal(watched, signal.SIGTERM)
        signal.pidfd_send_signal(watched, signal.SIGCONT)  # a stopped one goes on, to hear it
        with trio.move_on_after(STOP):
            await trio.lowlevel.wait_readable(watched)
            return process
        signal.pidfd_send_signal(watched, signal.SIGKILL)
        await trio.lowlevel.wait_readable(watched)
    except ProcessLookupError:
        pass  # it has ended just now
    finally:
        os.close(watched)
    return process


def command_line(program: str, place: Place) -> list[str]:
    """How the server is started."""
    options = {
        "port": "0",
        "unixsocket": str(place.socket),
        "unixsocketperm": "700",
        "dir": str(place.folder),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "logfile": str(place.log),
        "loglevel": "warning",
    }
    return [program, *(word for name, value in options.items() for word in (f"--{name}", value))]


class EmbeddedStatistics(msgspec.Struct, frozen=True):
    """A snapshot of the server's actor."""

    process: int | None
    ended: int | None
    """A server that was left by a killed host, and that this start has ended."""
    client: object


class EmbeddedStore(Actor):
    """Runs the server. Its exit is this actor's crash: the supervisor starts the next one.

    Args:
        program: the path of ``valkey-server``.
        place: its folder.
        client: who uses it; ready when it can.
    """

    def __init__(self, program: str, place: Place, client: StoreClient) -> None:
        self._program = program
        self._place = place
        self._client = client
        self._lock: int | None = None
        self._process: Child | None = None
        self._ended: int | None = None
        self._stopping = False
        self._over = trio.Event()

    async def on_start(self) -> None:
        """Ready when the server answers, and the client has seen that. Raises `StoreStartError`."""
        self._lock = take(self._place)
        self._ended = await end_leftover(self._place)
        with _told(self._place):
            self._place.socket.unlink(missing_ok=True)
            self._place.log.write_bytes(b"")
        self._start()
        while not await self._answers():  # noqa: ASYNC110 -- nobody tells when it listens
            await trio.sleep(POLL)
        self._client.nudge()
        await self._client.usable(1.0)

    async def on_stop(self) -> None:
        """SIGTERM, and a bounded wait; SIGKILL comes with the end of the incarnation."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with trio.move_on_after(STOP):
                await self._over.wait()

    def on_end(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def statistics(self) -> EmbeddedStatistics:
        """A snapshot."""
        process = None if self._process is None else self._process.pid
        return EmbeddedStatistics(process, self._ended, self._client.statistics())

    def _start(self) -> None:
        try:
            self._process = Child(command_line(self._program, self._place), self._place.log)
        except OSError as problem:
            raise StoreStartError(
                f"{self._program} does not start: {problem.strerror}; set [store] url to a Redis "
                "or Valkey"
            ) from problem
        self.context.spawn(self._watch, self._process)

    async def _watch(self, process: Child) -> None:
        """Wait for the server's end; when cancelled, end it. It never outlives this task."""
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                with trio.CancelScope(shield=True):  # SIGKILL is not refused
                    await process.wait()
            self._over.set()
        if not self._stopping:
            raise StoreStartError(f"the embedded store ended: {self._last_words(process)}")

    async def _answers(self) -> bool:
        if self._over.is_set() and self._process is not None:
            raise StoreStartError(
                f"the embedded store does not start: {self._last_words(self._process)}"
            )
        try:
            with trio.move_on_after(1.0):
                async with await trio.open_unix_socket(str(self._place.socket)) as stream:
                    answer = await converse(stream, PING)
                    full = isinstance(answer, Reply) and answer.code in FULL
                    return full or answer == b"PONG"
        except (OSError, LinkFailed):
            pass  # not listening yet
        return False

    def _last_words(self, process: Child) -> str:
        try:
            said = self._place.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
        except OSError:
            said = ""
        lines = [
            line for line in said.splitlines() if "overcommit" not in line
        ]  # a standing advice
        last = lines[-1] if lines else "it said nothing"
        return f"exit code {process.returncode}; {self._place.log}: {last}"
