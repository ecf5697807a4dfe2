"""A small HTTP/1.1 client on trio, for what wrk cannot tell: when what arrived.

The load clients (``first_chunk.py``, ``open_streams.py``, ``leaving.py``) are programs of their
own, so that the benchmark's own process does not disturb them. They take their orders as JSON
in an argument and report as JSON on standard output.
"""

from __future__ import annotations

import sys
from typing import TypeVar

import msgspec
import trio

from . import chunks
from .contestants import Address
from .programs import Ground, run_to_end

_END = b"0\r\n\r\n"
_TAIL = 512
_RECEIVE = 65536
_PER_SOURCE = 20000

T = TypeVar("T")


class LostError(Exception):
    """A stream did not come as it must: refused, cut, or no 200."""


class Stream:
    """One connection, and the answer on it as far as it has come."""

    def __init__(self, address: Address, number: int = 0) -> None:
        """``number``: of the stream among many; some thousands share a source address."""
        body = chunks.request_body(address.model)
        self._request = (
            f"POST {address.path} HTTP/1.1\r\nHost: 127.0.0.1:{address.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._port = address.port
        self._source = f"127.0.0.{2 + number // _PER_SOURCE}"
        self._socket = trio.socket.socket()
        self._answer = b""

    def __repr__(self) -> str:
        return f"<Stream to {self._port}, {len(self._answer)} bytes kept>"

    async def connect(self) -> None:
        """Raises OSError."""
        self._socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        await self._socket.bind((self._source, 0))
        await self._socket.connect(("127.0.0.1", self._port))

    async def ask(self) -> None:
        """Send the request: with nothing else under way it fits the socket's buffer."""
        self._answer = b""
        await self._socket.send(self._request)

    async def until(self, mark: bytes) -> None:
        """Read until ``mark`` has come; `LostError` if the answer is no 200 or is cut."""
        while mark not in self._answer:
            self._answer += await self._receive()
        if not self._answer.startswith(b"HTTP/1.1 200"):
            raise LostError(self._answer[:200].decode(errors="replace"))

    async def more(self) -> None:
        """Read until one more chunk has begun to come."""
        had = self._answer.count(b"data:")
        while self._answer.count(b"data:") == had:
            self._answer += await self._receive()

    async def to_end(self) -> None:
        """Read the rest; `LostError` if it does not end with the end marker."""
        tail = self._answer[-_TAIL:]
        while not tail.endswith(_END):
            tail = (tail + await self._receive())[-_TAIL:]
        if f"data: {chunks.DONE}".encode() not in tail:
            raise LostError("the answer does not end in [DONE]")

    def close(self) -> None:
        """Leave, at whatever point."""
        self._socket.close()

    async def _receive(self) -> bytes:
        data = await self._socket.recv(_RECEIVE)
        if not data:
            raise LostError("the connection was closed before the end of the answer")
        return data


def run_client(
    *,
    module: str,
    orders: msgspec.Struct,
    report: type[T],
    ground: Ground,
    core: int,
    within: float,
) -> T:
    """Run a load client, ``module`` of this package, on ``core``; what it reports.

    Raises `ProgramError` with its complaint, also when it takes longer than ``within`` seconds.
    """
    encoded = msgspec.json.encode(orders).decode()
    argv = [sys.executable, "-m", f"{__package__}.{module}", encoded]
    return msgspec.json.decode(run_to_end(argv, ground, core, within), type=report)


def orders_as(kind: type[T]) -> T:
    """The orders of this program, a load client."""
    return msgspec.json.decode(sys.argv[1], type=kind)


def hand_in(report: object) -> None:
    """The report of this program, a load client."""
    sys.stdout.buffer.write(msgspec.json.encode(report))
