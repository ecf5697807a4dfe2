"""A real cluster and real sentinels on loopback, each of whose processes ends with its context.

Made by the servers' own commands, not by a tool that asks questions: a cluster is ready some two
seconds after its nodes have started, which is how long a node waits to take part as a master.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from tests.real.store_servers import free_port

PATIENCE = 30.0
SLOTS = 16384
MASTERS = 3


def until(is_so: Callable[[], bool]) -> None:
    """Return as soon as ``is_so``; a server that cannot be asked yet says no."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if is_so():
                return
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            pass
        time.sleep(0.02)
    raise AssertionError("it has not come about in time")


class Node:
    """A server, and another client of it than ours."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.client: Any = redis.Redis(port=port, socket_timeout=10)
        self.client.response_callbacks.clear()  # answers are what the server said

    def __str__(self) -> str:
        return f"127.0.0.1:{self.port}"

    def run(self, *words: object) -> Any:
        """The answer to a command; text as `str`."""
        answer = self.client.execute_command(*words)
        return answer.decode() if isinstance(answer, bytes) else answer


@contextmanager
def node(program: str, folder: Path, *options: str) -> Iterator[Node]:
    """A server at a free port, without persistence; it answers already."""
    port = free_port()
    folder = folder / str(port)
    folder.mkdir()
    command = [program, *options, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--dir", str(folder)], stdout=log)
    started = Node(process, port)
    try:
        until(lambda: started.client.execute_command("PING") is not None)
        yield started
    finally:
        started.client.close()
        process.kill()  # also one that is stopped
        process.wait()


class ClusterOfNodes:
    """Three masters, and a replica of the first."""

    def __init__(self, masters: list[Node], replica: Node) -> None:
        self.masters = masters
        self.replica = replica
        self.ids = {each.port: each.run("CLUSTER", "MYID") for each in [*masters, replica]}

    @property
    def url(self) -> str:
        """Of its first node only: the others are to be found."""
        return f"redis+cluster://{self.masters[0]}"

    def key_of(self, owner: Node) -> str:
        """A key that ``owner`` has."""
        number = self.masters.index(owner)
        low, high = slots_of(number)
        return next(k for i in range(1000) if low <= key_slot((k := f"key-{i}").encode()) <= high)

    def give(self, slot: int, taker: Node) -> None:
        """Make ``slot`` the taker's, and have every master know.

        Not one of the first master: its replica, which cannot be told so, would claim it.
        """
        for each in [taker, *self.masters]:
            each.run("CLUSTER", "SETSLOT", slot, "NODE", self.ids[taker.port])


def slots_of(number: int) -> tuple[int, int]:
    """The first and the last slot of the master of that number."""
    return number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1


@contextmanager
def cluster(program: str, folder: Path) -> Iterator[ClusterOfNodes]:
    """A cluster of which every node serves its slots already.

    A node that dies is not found to be dead by the others, which would take long under load: a
    test says so to its replica (``CLUSTER FAILOVER TAKEOVER``).
    """
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "15000"]
    options += ["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"]
    with ExitStack() as running:
        nodes = [running.enter_context(node(program, folder, *options)) for _ in range(MASTERS + 1)]
        *masters, replica = nodes
        for number, master in enumerate(masters):
            master.run("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            master.run("CLUSTER", "ADDSLOTSRANGE", *slots_of(number))
        for each in nodes[1:]:
            each.run("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        made = ClusterOfNodes(masters, replica)
        until(lambda: made.ids[masters[0].port] in replica.run("CLUSTER", "NODES"))
        until(lambda: bool(replica.run("CLUSTER", "REPLICATE", made.ids[masters[0].port])))
        until(lambda: "master_link_status:up" in replica.run("INFO", "replication"))
        for each in nodes:
            until(lambda each=each: is_whole(each.run("CLUSTER", "INFO")))  # type: ignore[misc]
        yield made


def is_whole(info: str) -> bool:
    """Whether a node sees all slots served, and all other nodes."""
    wanted = {"cluster_state:ok", f"cluster_slots_ok:{SLOTS}", f"cluster_known_nodes:{MASTERS + 1}"}
    return wanted <= set(info.split())


class Watched:
    """A master and its replica, and the sentinel that watches them."""

    def __init__(self, master: Node, replica: Node, sentinel: Node) -> None:
        self.master = master
        self.replica = replica
        self.sentinel = sentinel

    @property
    def url(self) -> str:
        """By the sentinel."""
        return f"redis+sentinel://{self.sentinel}/main"

    def role(self, which: Node) -> str:
        """Its own word for what it is."""
        return str(which.client.execute_command("ROLE")[0].decode())


@contextmanager
def watched(program: str, folder: Path) -> Iterator[Watched]:
    """A master and a replica that their sentinel knows already."""
    quick = ["--repl-diskless-sync-delay", "0"]
    with ExitStack() as running:
        master = running.enter_context(node(program, folder, *quick))
        replica = running.enter_context(
            node(program, folder, *quick, "--replicaof", "127.0.0.1", str(master.port))
        )
        until(lambda: "master_link_status:up" in replica.run("INFO", "replication"))
        config = folder / "sentinel.conf"
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 5000\n"
        )
        sentinel = running.enter_context(node(program, folder, str(config), "--sentinel"))
        until(lambda: len(sentinel.client.execute_command("SENTINEL", "REPLICAS", "main")) == 1)
        yield Watched(master, replica, sentinel)
