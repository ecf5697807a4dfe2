"""The way to one client while one response is streamed to it, as the relay sees it.

The edge implements `Client` twice: on a plain socket of our own HTTP/1.1 protocol
(``direct``: the pump may write to it), and on any ASGI server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Client(Protocol):
    """One response to one client. Used by one owner at a time: the stream's task, or the pump.

    Order of calls: `start`, then any number of `send` / `send_nowait`, then `end` or `abort`.
    """

    @property
    def direct(self) -> bool:
        """Whether `send_nowait` writes to a socket of its own; False: only `send` sends."""

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Set the head. It leaves with the first bytes of `send` or `end`, in one write.

        ``headers`` have lower-case names, no ``content-length``, ``transfer-encoding``,
        ``connection`` or ``date``: those are the edge's.
        """

    def frame(self, payload: bytes) -> bytes:
        """``payload`` in this response's transfer coding (a chunk, or itself for HTTP/1.0)."""

    def send_nowait(self, data: bytes) -> int:
        """Write what the socket takes of ``data`` (already framed) at once; 0 when it is full.

        Only if `direct`. A head that has not left yet goes before it, in the same write, and
        does not count; a head of which only a part was taken is kept for the next call.
        Raises `ClientLeft`.
        """

    async def send(self, data: bytes, timeout: float) -> None:
        """Write all of ``data`` (already framed), without a checkpoint if the socket takes it.

        ``timeout`` bounds each wait for the socket to take a byte. Raises `ClientLeft`,
        `ClientStalled`.
        """

    async def respond(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, timeout: float
    ) -> None:
        """A whole response at once, with its ``content-length``; instead of `start` … `end`."""

    async def end(self, data: bytes, timeout: float) -> None:
        """`send` ``data`` (framed, may be empty) and the end of the body, in one write."""

    def give_up(self) -> None:
        """End a `send`, `respond` or `end` that waits: it raises `ClientLeft`; the client is cut.

        Does nothing when none waits. Synchronous, from any task.
        """

    def abort(self) -> None:
        """Close the connection without an end of the body: the client sees a cut."""

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call ``on_left`` once, synchronously, as soon as the client closes, half or whole.

        If it has already left, it is called before `watch` returns. Must not raise or block.
        """

    def unwatch(self) -> None:
        """Forget the callback of `watch`. Idempotent."""
