"""Which node of a cluster has which slot, as one of its nodes says (``CLUSTER SLOTS``)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final, TypeAlias

import trio

from .address import Node, ServerAddress
from .dial import PING, converse, dial
from .errors import LinkFailed
from .link import shorten
from .operation import command
from .replies import FULL, Reply
from .settings import StoreSettings

SLOTS: Final = 16384
_ASK: Final = command("CLUSTER", "SLOTS", key="")

Owners: TypeAlias = dict[int, Node]
"""The master of each slot that has one."""


async def owners_of(
    nodes: Iterable[Node], settings: StoreSettings, tls: ssl.SSLContext | None
) -> Owners:
    """What the first of ``nodes`` says that can be asked. Raises `LinkFailed` if none can.

    Each has ``settings.connect_timeout`` for its connection, and as much for its answer.
    """
    failure = LinkFailed("no node of the cluster is known")
    for node in nodes:
        try:
            return read(node, await _ask(node, settings, tls))
        except LinkFailed as problem:
            failure = problem
    raise failure


async def _ask(node: Node, settings: StoreSettings, tls: ssl.SSLContext | None) -> object:
    patient = settings.connect_timeout
    stream = await dial(ServerAddress(node), settings, tls, PING, FULL)
    try:
        with trio.fail_after(patient):
            return await converse(stream, _ASK)
    except trio.TooSlowError:
        raise LinkFailed(f"{node} did not answer within {patient * 1000:.0f} ms") from None
    finally:
        await trio.aclose_forcefully(stream)


def read(asked: Node, reply: object) -> Owners:
    """Pure: the owners in ``reply`` of the node that was ``asked``. Raises `LinkFailed`.

    A reply is a list of ``[first slot, last slot, [host, port, ...], ...]``, the master first.
    """
    if isinstance(reply, Reply):
        raise LinkFailed(f"{asked} answered {shorten(reply)}")
    owners: Owners = {}
    for part in reply if isinstance(reply, list) else [reply]:
        match part:
            case [int(first), int(last), [bytes() | None as host, int(port), *_], *_] if (
                0 <= first <= last < SLOTS and 0 < port <= 65_535
            ):
                owners.update(dict.fromkeys(range(first, last + 1), _node(asked, host, port)))
            case _:
                raise LinkFailed(f"{asked} answered what is no list of slots")
    return owners


def _node(asked: Node, host: bytes | None, port: int) -> Node:
    """A node that does not know how it is reached is where it was asked."""
    return Node(host.decode("ascii", "replace") if host else asked.host, port)
