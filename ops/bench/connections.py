"""Which process of a family has how many of the connections that came in at a port.

From ``/proc``: the table of TCP connections has each one's inode, and each process's descriptors
tell which inodes are its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from . import cpu

_SOCKET = "socket:["
_ESTABLISHED = "01"
_LOCAL, _STATE, _INODE = 1, 3, 9  # fields of a line of proc_net_tcp(5)


def held(pid: int, port: int) -> dict[int, int]:
    """Connections at ``port`` of 127.0.0.1 that each process of the family of ``pid`` has."""
    inodes = established(Path(f"/proc/{pid}/net/tcp").read_text(), port)
    return {member: len(inodes & set(_sockets(member))) for member in cpu.family(pid)}


def established(table: str, port: int) -> set[str]:
    """The inodes of the connections that somebody made to ``port``, from ``/proc/net/tcp``."""
    lines = [line.split() for line in table.splitlines()[1:]]
    return {
        line[_INODE]
        for line in lines
        if line[_STATE] == _ESTABLISHED and int(line[_LOCAL].rpartition(":")[2], 16) == port
    }


def _sockets(pid: int) -> Iterator[str]:
    """The inodes of the sockets that ``pid`` has open."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            target = str(descriptor.readlink())
            if target.startswith(_SOCKET):
                yield target.removeprefix(_SOCKET).removesuffix("]")
