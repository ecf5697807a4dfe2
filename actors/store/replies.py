"""What an error that a store answers means. Pure."""

from __future__ import annotations

from typing import Any, Final

import hiredis

LET_BY: Final = frozenset(
    {
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "MOVED",
        "ASK",
        "NOAUTH",
        "WRONGPASS",
        "BUSY",
        "UNKILLABLE",
    }
)
"""It cannot serve now, or not us: it is passed by until it can."""

FULL: Final = frozenset({"OOM", "MISCONF", "NOREPLICAS"})
"""It takes no writes now, but still answers reads."""


class Reply(hiredis.ReplyError):
    """An error that a store answered."""

    @property
    def code(self) -> str:
        """Its first word."""
        return str(self).partition(" ")[0]


class Nothing:
    """Of which there is one: no whole reply has arrived yet."""


NOTHING: Final = Nothing()


def new_reader() -> Any:
    """A parser of replies; ``gets()`` gives `NOTHING` when there is no whole one."""
    return hiredis.Reader(replyError=Reply, notEnoughData=NOTHING)
