"""A cluster: one channel a node, and who has which slot.

An operation goes straight to the node of its key. A node that does not have it any more says so
(``MOVED``, ``ASK``): the operation follows, within its time, and the cluster is looked at anew.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

import trio
from redis.crc import key_slot

from .address import ClusterAddress, Node, ServerAddress
from .channel import Channel
from .dial import PING, dial, write_probe
from .entry import Entry
from .errors import LinkFailed, StoreUnavailable
from .keys import PREFIX
from .link import shorten
from .operation import Op
from .replies import FULL, Reply
from .settings import StoreSettings
from .slots import SLOTS, Owners, owners_of

LOOK: Final = 10.0
"""Seconds between looks at a cluster that says nothing."""
PAUSE: Final = 0.2
"""Seconds between looks at the least."""
MOST_REDIRECTS: Final = 3
MOST_TRIES: Final = 1000
"""Keys looked at for one that is a given node's: some milliseconds; more only for a tiny share."""
_ELSEWHERE: Final = frozenset({"MOVED", "ASK"})
"""Answers to a probe by a node that is well, and has given the probe's key away just now."""


class Cluster:
    """The nodes of one cluster. ``serve`` it in a task."""

    def __init__(
        self,
        address: ClusterAddress,
        settings: StoreSettings,
        tls: ssl.SSLContext | None,
        make: Callable[..., Channel],
    ) -> None:
        self._address = address
        self._settings = settings
        self._tls = tls
        self._make = make
        self._whole = make(str(address), partial(self._dial, address.nodes[0], PING))
        """Stands for the cluster until its nodes are known; it is never served."""
        self._known = trio.Event()
        self._owners: Owners = {}
        self._channels: dict[Node, Channel] = {}
        self._scopes: dict[Node, trio.CancelScope] = {}
        self._look = trio.Event()

    def channels(self) -> list[Channel]:
        """Those of the nodes; before any is known, the one that stands for them."""
        return list(self._channels.values()) or [self._whole]

    def channel_for(self, op: Op) -> Channel:
        """That of the node that has the key; of any for an operation without one."""
        if op.key is None:
            return next(iter(self._channels.values()), self._whole)
        node = self._owners.get(_slot(op.key))
        channel = None if node is None else self._channels.get(node)
        if channel is None and self._channels:
            raise StoreUnavailable("no node of the cluster has this key's slot")
        return channel or self._whole

    async def known(self) -> None:
        """Return when some node has told of the others."""
        await self._known.wait()

    async def dial_for(self, op: Op | None) -> trio.abc.Stream:
        """A connection of one's own to the node of ``op``. Raises `LinkFailed`."""
        slot = None if op is None or op.key is None else _slot(op.key)
        node = next(iter(self._channels), None) if slot is None else self._owners.get(slot)
        if node is None:
            raise LinkFailed("no node of the cluster is known for this")
        return await self._dial(node, PING)

    def gap(self) -> str | None:
        """Keys that no node has."""
        missing = SLOTS - len(self._owners)
        known = bool(self._channels)
        return f"{missing} slots of the {self._address} have no node" if known and missing else None

    async def serve(self) -> NoReturn:
        """Look at the cluster again and again, and keep up a channel to each master."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    owners = await owners_of(self._to_ask(), self._settings, self._tls)
                    self._adopt(owners, nursery)
                except LinkFailed as problem:
                    if not self._channels:
                        self._whole.lost(str(problem))
                await trio.sleep(PAUSE)
                with trio.move_on_after(LOOK if self._all_well() else PAUSE):
                    await self._look.wait()
                self._look = trio.Event()
        raise AssertionError("it serves for ever")

    def _all_well(self) -> bool:
        channels = self._channels.values()
        return bool(channels) and all(each.circuit.state == "usable" for each in channels)

    def _to_ask(self) -> list[Node]:
        """Nodes that were well just now first; those of the URL may all be gone by now."""
        well = [node for node, each in self._channels.items() if each.circuit.state == "usable"]
        return list(dict.fromkeys([*well, *self._address.nodes, *self._channels]))

    def _adopt(self, owners: Owners, nursery: trio.Nursery) -> None:
        self._owners = owners
        masters = set(owners.values())
        probes = _probes(owners)
        for node in masters - set(self._channels):
            channel = self._make(
                str(node), partial(self._dial_probing, node), redirect=self._redirect
            )
            self._channels[node] = channel
            self._scopes[node] = trio.CancelScope()
            channel.probe = probes[node]
            nursery.start_soon(self._serve, channel, self._scopes[node])
        for node in set(self._channels) - masters:
            self._channels.pop(node)
            self._scopes.pop(node).cancel()
        for node, channel in self._channels.items():
            channel.probe = probes[node]
        if self._channels:
            self._known.set()

    @staticmethod
    async def _serve(channel: Channel, scope: trio.CancelScope) -> None:
        with scope:
            await channel.serve()

    async def _dial_probing(self, node: Node) -> trio.abc.Stream:
        """One that only works if the node can serve: a cluster that is down answers a ping."""
        channel = self._channels.get(node)
        return await self._dial(node, PING if channel is None else channel.probe)

    async def _dial(self, node: Node, probe: Op) -> trio.abc.Stream:
        address = ServerAddress(node)
        return await dial(address, self._settings, self._tls, probe, FULL | _ELSEWHERE)

    def _redirect(self, entry: Entry, reply: Reply) -> bool:
        code = reply.code
        if code not in {"MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN"}:
            return False
        self._look.set()
        try:
            self._follow(entry, str(reply))
        except StoreUnavailable as problem:
            entry.fail(problem)
        return True

    def _follow(self, entry: Entry, said: str) -> None:
        """Send ``entry`` where the cluster said. Raises `StoreUnavailable` if that is not known."""
        words = said.split()
        node = _node(words[2]) if len(words) == 3 and words[0] in {"MOVED", "ASK"} else None
        channel = None if node is None else self._channels.get(node)
        entry.redirects += 1
        if channel is None or entry.redirects > MOST_REDIRECTS:
            raise StoreUnavailable(f"the store answered {shorten(said)}")
        channel.submit(entry, asking=words[0] == "ASK")


def _probes(owners: Owners) -> dict[Node, Op]:
    """For each node, a probe with a key that is the node's."""
    wanted, found = set(owners.values()), dict[Node, Op]()
    for number in range(MOST_TRIES):
        key = f"{PREFIX}probe:{number}"
        node = owners.get(_slot(key))
        if node is not None and node not in found:
            found[node] = write_probe(key)
            if len(found) == len(wanted):
                break
    return {node: found.get(node, PING) for node in wanted}


def _slot(key: str | bytes) -> int:
    return int(key_slot(key.encode() if isinstance(key, str) else key))


def _node(written: str) -> Node | None:
    host, _, port = written.rpartition(":")
    return Node(host.strip("[]"), int(port)) if port.isdigit() and len(port) <= 5 else None
