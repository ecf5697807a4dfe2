"""Who is calling: a token, a user, or an address (``seed 5``)."""

from __future__ import annotations

from typing import Literal

import msgspec

from sluice.actors.settings import Rate

CallerKind = Literal["ip", "user", "token"]


class Caller(msgspec.Struct, frozen=True):
    """One client, as limits and logs know it. ``name`` is bounded, and holds no secret.

    The name of a token is the one that the operator gave it; of a user, what the issuer calls
    him; of an address, the address, or for IPv6 the /64 that it is in.
    """

    kind: CallerKind
    name: str
    limit: Rate | msgspec.UnsetType | None = msgspec.UNSET
    """His own limit instead of that of his kind; None: none."""
