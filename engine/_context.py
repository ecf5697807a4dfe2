"""An incarnation's view of the system it lives in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ._ref import LocalRef, Ref

if TYPE_CHECKING:
    from ._incarnation import Incarnation


class Context:
    """What ``self.context`` of an `Actor` is."""

    __slots__ = ("_incarnation",)

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation

    @property
    def path(self) -> str:
        """Where this actor is: the ids from below the root, joined by ``/``."""
        return self._incarnation.cell.path

    @property
    def incarnation(self) -> int:
        """1 for the first, 2 after the first restart, …"""
        return self._incarnation.number

    def ref(self, path: str) -> Ref:
        """The address of the actor at ``path``, or ``path@process``. Raises `UnknownPath`."""
        return self._incarnation.cell.find(path)

    def spawn(
        self, function: Callable[..., Awaitable[object]], *args: object, name: str | None = None
    ) -> None:
        """Run ``function(*args)`` in the background of this incarnation.

        It is cancelled when the incarnation ends (after `Actor.on_stop`); if it raises, the
        actor crashes.
        """
        self._incarnation.spawn(function, args, name)

    def monitor(self, ref: Ref) -> None:
        """Be told by a `Down` message when the incarnation behind ``ref`` ends; once.

        At once if there is none (reason ``"absent"``). `Down` needs a handler (`TypeError`),
        needs no room in the mailbox, and is handled before other mail.
        """
        self._incarnation.monitor(_local(ref))

    def demonitor(self, ref: Ref) -> None:
        """Be told no more. Idempotent."""
        self._incarnation.demonitor(_local(ref))

    def stop(self) -> None:
        """End this incarnation by itself, after the message in progress, as if it was asked to.

        A ``permanent`` actor is then started again; others have left for good.
        """
        self._incarnation.leave()


def _local(ref: Ref) -> Any:
    if not isinstance(ref, LocalRef):
        raise TypeError(f"{ref!r} does not lead to an actor of this process")
    return ref.cell
