"""Where operators and the service meet: a Unix socket of the owner's, or loopback with a token."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

SOCKET: Final = "control.sock"
"""The name of the default socket, in ``[server] data_dir``."""
_BACKLOG: Final = 64
_UNIX_PATH: Final = 107
"""Bytes that ``sockaddr_un`` has for a path."""


class CannotListen(Exception):  # noqa: N818 -- a state, named as such
    """Why there is no listening at an address, in words for an operator."""


class Place(msgspec.Struct, frozen=True):
    """An address: ``unix:/PATH`` or ``HOST:PORT``; and the token that TCP needs."""

    address: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"<Place {self.address}>"  # the token is nobody's business

    @property
    def path(self) -> str | None:
        """The socket's file, if it is a Unix socket."""
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else None

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Of a TCP address; ValueError if it is none."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)


def default_address(data_dir: str) -> str:
    """The Unix socket that is used when no address is configured."""
    return f"unix:{Path(data_dir) / SOCKET}"


async def connect(place: Place) -> trio.SocketStream:
    """A connection to whoever listens at ``place``. Raises OSError if nobody does."""
    if place.path is not None:
        return await trio.open_unix_socket(place.path)
    host, port = place.host_and_port
    return await trio.open_tcp_stream(host, port)


@contextmanager
def listening(place: Place) -> Iterator[socket.socket]:
    """A socket that listens at ``place``, and is gone after the block. Raises `CannotListen`.

    A Unix socket is its owner's alone (0600). The file of a process that has died is replaced;
    one whose process lives is left alone.
    """
    opened = _listening_tcp(place) if place.path is None else _listening_unix(Path(place.path))
    with ExitStack() as stack:
        try:
            sock = stack.enter_context(opened)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            said = f"cannot listen for operators at {place.address}: {reason}"
            raise CannotListen(said) from problem
        yield sock


@contextmanager
def _listening_tcp(place: Place) -> Iterator[socket.socket]:
    if place.token is None:
        raise CannotListen(f"{place.address}: control over TCP needs a token: [control] token")
    host, port = place.host_and_port
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.create_server(address[:2], family=family, backlog=_BACKLOG) as sock:
        yield sock


@contextmanager
def _listening_unix(path: Path) -> Iterator[socket.socket]:
    if len(os.fsencode(path)) > _UNIX_PATH:
        raise CannotListen(
            f"{path} is longer than the {_UNIX_PATH} bytes of a Unix socket's path:"
            " set [control] address to a shorter one"
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        _remove_stale(path)
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        try:
            sock.listen(_BACKLOG)
            yield sock
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside ``path``: the kernel gives it back whatever becomes of us."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(path) from None
        yield
    finally:
        os.close(lock)


def _remove_stale(path: Path) -> None:
    """Remove the socket of somebody who has died. Raises `CannotListen` for anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"{path} is there, and is no socket: move it, or set [control] address")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) == 0:
            raise _in_use(path)
    path.unlink()


def _in_use(path: Path) -> CannotListen:
    return CannotListen(
        f"another service that runs is controlled at {path}: give this one a [server] data_dir"
        " or a [control] address of its own"
    )
