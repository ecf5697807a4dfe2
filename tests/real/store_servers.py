"""Real stores on loopback: Valkey from its wheel, Redis from Debian; ended by their process id."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import redis
import trio
import trustme

from sluice.actors.store import Place
from sluice.actors.store.embedded import listener
from sluice.ops.store import find_program

REDIS = "redis-server"


def valkey() -> str:
    """The server of the wheel."""
    return find_program()


class Server(msgspec.Struct):
    """A running server. ``port`` is 0 if it listens at ``socket`` only."""

    process: trio.Process
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def redis(self, **options: object) -> redis.Redis:
        """Another client than ours."""
        return redis.Redis(port=self.port, socket_timeout=10, **options)  # type: ignore[arg-type]


def free_port() -> int:
    """Of which the port 10,000 above is free as well, for a cluster's bus."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port > 55_000:
                continue
            try:
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


@asynccontextmanager
async def open_server(
    program: str, folder: Path, *options: str, port: int | None = None
) -> AsyncIterator[Server]:
    """A server with ``options`` and no persistence unless they say so; it listens already."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 -- one call, in a test
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", *options]
    with (folder / "log").open("ab") as log:
        process = await trio.lowlevel.open_process(command, stdout=log)
    try:
        await until_listening(port, process)
        yield Server(process, port, folder)
    finally:
        with trio.CancelScope(shield=True):
            process.kill()  # also one that is stopped
            await process.wait()


def tls_options(folder: Path, port: int) -> list[str]:
    """For TLS at ``port`` as ``localhost``; who trusts ``folder/ca.pem`` trusts the server."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-key-file", str(folder / "key.pem")]
    options += ["--tls-cert-file", str(folder / "cert.pem")]
    return [*options, "--tls-ca-cert-file", str(folder / "ca.pem")]


async def until_listening(port: int, process: trio.Process) -> None:
    """Return when something listens at ``port``."""
    with trio.fail_after(30):
        while True:
            assert process.poll() is None, "the server ended; is its port taken?"
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.02)
            else:
                await stream.aclose()
                return


def is_running(process: int) -> bool:
    """Whether there is a process of that id that has not ended."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def kill_left(place: Place) -> None:
    """End the embedded store that a host has left there, if there is one."""
    left = listener(place)
    if left is not None:
        os.kill(left, signal.SIGKILL)


async def until_ended(process: int) -> None:
    """Return when there is no running process of that id."""
    with trio.fail_after(30):
        while is_running(process):  # noqa: ASYNC110 -- it is nobody's child here
            await trio.sleep(0.01)
