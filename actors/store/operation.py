"""What a store can be asked to do: one command, or one script.

::

    await store.run(command("SET", key("cache", digest), body, "PX", 60_000))

    TAKE = Script("return redis.call('DECRBY', KEYS[1], ARGV[1])")
    left = await store.run(TAKE.on([key("limit", "ip", address)], 1))
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import hiredis
import msgspec

Argument: TypeAlias = str | bytes | int | float


class Op(msgspec.Struct, frozen=True):
    """One operation. ``key`` tells in a cluster which node it is for; None: any."""

    args: tuple[Argument, ...]
    key: str | bytes | None = None
    source: str | None = None
    """Of a script, for a store that does not have it yet."""
    together: Script | None = None
    """Does several of these in one step, of different keys: see `together`."""

    def packed(self) -> bytes:
        """As it is sent. Raises `TypeError` for an argument that is none."""
        packed: bytes = hiredis.pack_command(self.args)  # type: ignore[arg-type]
        return packed

    def packed_with_source(self) -> bytes:
        """A script's operation for a store that does not know the script; it does afterwards."""
        packed: bytes = hiredis.pack_command(("EVAL", self.source, *self.args[2:]))  # type: ignore[arg-type]
        return packed


def command(name: str, *args: Argument, key: str | bytes | None = None) -> Op:
    """The command ``name`` with ``args``, the first of which is its key unless ``key`` is given.

    A command on no key has no argument, or is answered by whatever node is asked.
    """
    if key is None and args and isinstance(args[0], str | bytes):
        key = args[0]
    return Op((name, *args), key)


class Script:
    """A Lua script, known to the store by its hash. It is loaded where it is missing."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode()).hexdigest()  # noqa: S324 -- the protocol's own

    def on(
        self, keys: Sequence[str | bytes], *args: Argument, together: Script | None = None
    ) -> Op:
        """Run it on ``keys``, which in a cluster must lie together (`keys.key`).

        ``together``: a script that does on many keys what this one does on one. Raises
        `TypeError` then for an argument that is none: others are sent with it, whom that harms.
        """
        first = keys[0] if keys else None
        op = Op(("EVALSHA", self.sha, len(keys), *keys, *args), first, self.source, together)
        if together is not None:
            op.packed()
        return op
