"""Which process has which connection, as `sluice bench` reads it from /proc."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from sluice.ops.bench import connections

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1
   1: 0100007F:1F90 0200007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 12 1
   2: 0200007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 13 1
   3: 0100007F:1F90 0200007F:9C41 08 00000000:00000000 00:00000000 00000000     0        0 14 1
   4: 0100007F:1F91 0200007F:9C42 01 00000000:00000000 00:00000000 00000000     0        0 15 1
"""


def test_only_connections_that_came_in_at_the_port_and_are_open_count() -> None:
    assert connections.established(TABLE, 0x1F90) == {"12"}
    assert connections.established(TABLE, 0x1F92) == set()


@pytest.mark.real
def test_a_connection_belongs_to_the_process_that_has_it_open() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        kept, given = listener.accept()[0], listener.accept()[0]
        stack.enter_context(kept)
        with given:
            argv = [sys.executable, "-c", "input()"]
            child = stack.enter_context(
                subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=[given.fileno()])
            )
        held = connections.held(os.getpid(), port)
        assert (held[os.getpid()], held[child.pid]) == (1, 1)
