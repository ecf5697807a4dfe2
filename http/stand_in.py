"""Who answers when nobody serves, because an operator has stopped all workers.

The sockets listen on, so clients would connect, and wait for nobody. Each is told 503 instead:
that the service is stopped, and a prober that it is alive and not ready. Its request's body is
not read, and its connection closes. On TLS the connection closes without a word.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import trio

from .http1.refusals import Refused
from .http1.response_head import plain_response

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at whether somebody serves."""
CLIENTS: Final = 64
"""Answered at a time; the others wait."""
PATIENCE: Final = 2.0
"""Seconds that one client has to ask, and to take its answer."""
HEAD_LIMIT: Final = 16 * 1024
"""Bytes of a head that are looked at."""
REST_LIMIT: Final = 1024 * 1024
"""Bytes of a request that are read and dropped: unread, they could cost the client its answer."""

_encode: Final = msgspec.json.Encoder().encode
_SAYS: Final = "The service is stopped."
_COME_BACK: Final = b"retry-after: 1\r\n"
"""Seconds, as whoever drains says."""


def answer_to(head: bytes) -> bytes:
    """The whole answer to the request that begins with ``head``. Pure."""
    _, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path == b"/health/live":
        return plain_response(200, _encode({"status": "alive"}))
    if path == b"/health/ready":
        return plain_response(503, _encode({"ready": False, "reasons": [_SAYS]}), _COME_BACK)
    if path == b"/health":
        return plain_response(503, _encode({"status": "unhealthy", "reasons": [_SAYS]}), _COME_BACK)
    body = Refused(503, "not_accepting", _SAYS).body(path.decode("ascii", "replace"))
    return plain_response(503, body, _COME_BACK)


class StandIn:
    """Answers at ``listening`` while ``is_needed()``, and tells ``on_change`` when that changes.

    Args:
        listening: sockets of the process, listening and non-blocking; not closed.
        is_needed: whether nobody else serves; asked often.
        on_change: told True when it begins, and False when it ends.
        tls: whether clients speak TLS.
    """

    def __init__(
        self,
        listening: Sequence[socket.socket],
        is_needed: Callable[[], bool],
        on_change: Callable[[bool], None],
        *,
        tls: bool,
    ) -> None:
        self._listening = listening
        self._is_needed = is_needed
        self._on_change = on_change
        self._tls = tls
        self._open = 0

    async def run(self) -> None:
        """For ever. Who has been accepted is answered, also if somebody serves by then."""
        async with trio.open_nursery() as clients:
            while True:
                await self._until(needed=True)
                self._on_change(True)
                async with trio.open_nursery() as accepting:
                    for each in self._listening:
                        accepting.start_soon(self._accept, each, clients)
                    await self._until(needed=False)
                    accepting.cancel_scope.cancel()
                self._on_change(False)

    async def _until(self, *, needed: bool) -> None:
        while self._is_needed() != needed:  # noqa: ASYNC110 -- states of actors, which tell no event
            await trio.sleep(LOOK_EVERY)

    async def _accept(self, listening: socket.socket, clients: trio.Nursery) -> None:
        async with trio.SocketListener(trio.socket.from_stdlib_socket(listening.dup())) as listener:
            while True:
                try:
                    client = await listener.accept()
                except OSError:  # no descriptor for it: one comes back with each that is answered
                    await trio.sleep(LOOK_EVERY)
                    continue
                self._open += 1
                clients.start_soon(self._answer, client)
                while self._open >= CLIENTS:  # noqa: ASYNC110 -- it never lasts: `PATIENCE`
                    await trio.sleep(LOOK_EVERY)

    async def _answer(self, client: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(PATIENCE):
                if not self._tls:
                    await _tell(client)
        except trio.BrokenResourceError:
            pass  # it has left
        finally:
            self._open -= 1
            with trio.CancelScope(shield=True):  # forceful: it does not wait
                await trio.aclose_forcefully(client)


async def _tell(client: trio.SocketStream) -> None:
    """Answer its request, and wait until it has taken that. Raises `BrokenResourceError`."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_LIMIT:
        received = await client.receive_some(HEAD_LIMIT)
        if not received:
            return
        head += received
    await client.send_all(answer_to(head))
    await client.send_eof()
    left = REST_LIMIT
    while left > 0 and (received := await client.receive_some(HEAD_LIMIT)):
        left -= len(received)
