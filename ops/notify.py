"""What systemd is told of a service of ``Type=notify``: ``sd_notify(3)``, without its library.

Started without such a manager, nothing is told. Telling it neither blocks nor fails: a manager
that cannot be reached is named in the log, once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

from sluice.ops.logs import get_logger

VARIABLE: Final = "NOTIFY_SOCKET"


class Notifier:
    """Tells the service manager that listens at ``address``; None: nobody."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Notifier:
        """The one that ``environment`` names, and names no more: processes below have no say."""
        return cls(environment.pop(VARIABLE, None) or None)

    def ready(self, status: str) -> None:
        """It serves, from now on or again."""
        self._tell("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """It reads its configuration again; `ready` ends that."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading its configuration")

    def stopping(self, status: str) -> None:
        """It ends."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), _path(self._address))
        except (OSError, ValueError) as problem:
            get_logger("sluice.notify").warning(
                "the service manager cannot be told", address=self._address, problem=str(problem)
            )
            self._address = None


def _path(address: str) -> str:
    """As the kernel has it: an abstract socket's name begins with a zero byte."""
    if address[0] == "@":
        return "\0" + address[1:]
    if address[0] != "/":
        raise ValueError("is neither a path nor an abstract socket")
    return address
