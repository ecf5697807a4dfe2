"""Accepting at sockets that several workers accept at (`spread`)."""

from __future__ import annotations

import errno
import select
import socket
from collections import deque
from typing import Final

import trio

from .spread import LOOK_EVERY, PATIENCE, Spread

_OF_THE_CONNECTION: Final = frozenset(
    {
        errno.EPERM,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
    }
)
"""What ``accept(2)`` has to tell of a connection that is over already: the next one, then."""

AT_ONCE: Final = 16
"""Connections that are accepted when one wakes us; between two such rounds others have a turn."""


class SharedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts connections unless another worker should, or has been quicker.

    Trio's own listener would accept as soon as there is something; here the decision is made
    when a connection waits, not when the last one was taken. When several wait, so many are
    taken at once as may be: before each one the others have their say.
    """

    def __init__(self, listening: trio.socket.SocketType, spread: Spread) -> None:
        self.socket = listening
        self._spread = spread
        self._asks = True
        """Whether others have a say; not when they had it, and what they left still waits."""
        self._accepting = socket.socket(fileno=listening.dup().detach())
        self._accepting.setblocking(False)
        self._waiting = select.poll()
        self._waiting.register(self._accepting, select.POLLIN)
        self._accepted: deque[socket.socket] = deque()
        """Taken, and not handed out yet; counted already."""

    async def accept(self) -> trio.SocketStream:
        """The next connection. Raises `OSError` when there is no descriptor for it.

        Of those that were taken at once, it returns all but the first without a checkpoint: who
        accepts for ever, as a server does, has them all before it can be cancelled.
        """
        while not self._accepted:
            self._asks = self._asks or not self._something_waits()
            await trio.lowlevel.wait_readable(self.socket)
            await self._leave_it_to_others()
            self._take_several()
        return trio.SocketStream(trio.socket.from_stdlib_socket(self._accepted.popleft()))

    async def aclose(self) -> None:
        """Close it; what waits is left to others."""
        while self._accepted:
            self._accepted.popleft().close()
        self._accepting.close()
        self.socket.close()
        await trio.lowlevel.checkpoint()

    async def _leave_it_to_others(self) -> None:
        """Return when this worker should take what waits, or others have taken it.

        Patience that has run out has for all that waits: who comes later in the backlog would
        wait as often as there are others before it.
        """
        if not self._asks or not self._spread.leaves():
            return
        until = trio.current_time() + PATIENCE
        while trio.current_time() < until:
            await trio.sleep(LOOK_EVERY)
            if not self._spread.leaves() or not self._something_waits():
                return
        self._asks = False

    def _take_several(self) -> None:
        """Accept the first that waits, and more while that is ours to do. Raises `OSError`."""
        for _ in range(max(1, min(AT_ONCE, self._spread.room))):
            try:
                accepted = self._try_accept()
            except OSError:
                if self._accepted:  # they come first; it is raised when the next is tried
                    return
                raise
            if accepted is None:
                return
            self._accepted.append(accepted)
            self._spread.count_accepted()
            if self._asks and self._spread.leaves():
                return

    def _something_waits(self) -> bool:
        return bool(self._waiting.poll(0))

    def _try_accept(self) -> socket.socket | None:
        try:
            return self._accepting.accept()[0]
        except BlockingIOError:
            return None  # another worker has taken it
        except OSError as problem:
            if problem.errno in _OF_THE_CONNECTION:
                return None
            raise
