"""From an address to a connection that is known to work, or to the reason why there is none."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import hiredis
import trio

from .address import ServerAddress, SocketAddress
from .errors import LinkFailed
from .keys import PREFIX
from .link import shorten, told
from .operation import Op, command
from .plain_stream import PlainStream
from .replies import FULL, NOTHING, Reply, new_reader
from .settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

Dial: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens a connection that works. Raises `LinkFailed`; has a bound of its own."""

PING: Final = command("PING")


def write_probe(key: str = PREFIX + "probe") -> Op:
    """Only a server succeeds at it that takes writes and has ``key``; it writes nothing.

    ``XX``: only if it is there already, which it never is. So nothing goes into the server's
    append-only file or to its replicas, however often it is asked.
    """
    return command("SET", key, "", "XX")


WRITE: Final = write_probe()


async def dial(
    address: ServerAddress | SocketAddress,
    settings: StoreSettings,
    tls: ssl.SSLContext | None,
    probe: Op = WRITE,
    allowed: frozenset[str] = FULL,
) -> trio.abc.Stream:
    """An open connection: verified, logged in, at its database, and ``probe`` answered.

    ``allowed``: errors that are an answer to the probe as good as any other.

    The probe has ``settings.timeout``, as an operation would; all else ``connect_timeout``.
    Raises `LinkFailed`.
    """
    try:
        with trio.fail_after(settings.connect_timeout):
            stream = await _open(address, tls)
    except trio.TooSlowError:
        raise LinkFailed(f"no connection to {address} in time") from None
    except (OSError, trio.BrokenResourceError) as problem:
        raise LinkFailed(f"no connection to {address}: {told(problem)}") from problem
    try:
        await _greet(stream, settings.connect_timeout, _greetings(address, settings))
        await _greet(stream, settings.timeout, [probe], allowed)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _open(
    address: ServerAddress | SocketAddress, tls: ssl.SSLContext | None
) -> trio.abc.Stream:
    if isinstance(address, SocketAddress):
        return PlainStream(await trio.open_unix_socket(address.path))
    stream = await trio.open_tcp_stream(address.node.host, address.node.port)
    if tls is None:
        return PlainStream(stream)
    secure = trio.SSLStream(stream, tls, server_hostname=address.node.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


def _greetings(address: ServerAddress | SocketAddress, settings: StoreSettings) -> list[Op]:
    """What is said before anything else."""
    greetings = []
    if settings.password is not None:
        user = [] if settings.username is None else [settings.username]
        greetings.append(Op(("AUTH", *user, settings.password.value)))
    if address.database:
        greetings.append(command("SELECT", address.database))
    return greetings


async def _greet(
    stream: trio.abc.Stream,
    timeout: float,
    ops: Sequence[Op],
    allowed: frozenset[str] = frozenset(),
) -> None:
    """Have each of ``ops`` answered well, within ``timeout`` seconds. Raises `LinkFailed`."""
    try:
        with trio.fail_after(timeout):
            for op in ops:
                answer = await converse(stream, op)
                if isinstance(answer, Reply) and answer.code not in allowed:
                    raise LinkFailed(f"the store answered {shorten(answer)}")
    except trio.TooSlowError:
        raise LinkFailed(f"the store did not answer within {timeout * 1000:.0f} ms") from None


async def converse(stream: trio.abc.Stream, op: Op) -> object:
    """The one answer to ``op``, on a stream on which nothing else goes on.

    It may be a `Reply`, which is an error. Raises `LinkFailed`; has no bound of its own.
    """
    reader = new_reader()
    try:
        await stream.send_all(op.packed())
        while (reply := reader.gets()) is NOTHING:
            data = await stream.receive_some()
            if not data:
                raise LinkFailed("the store closed the connection")
            reader.feed(data)
    except (OSError, trio.BrokenResourceError, hiredis.ProtocolError) as problem:
        raise LinkFailed(told(problem)) from problem
    if reader.has_data():
        raise LinkFailed("the store answered what nobody asked")
    return reply
