"""Who waits for whom: finds circles before they close.

An actor handles one message at a time. While its handler waits for another actor's reply (or for
room in its mailbox), nothing else is handled. So asking an actor that waits, directly or through
others, for the one that asks would never end: not within one chain of asks (A asks B, which asks
A back), nor between two handlers that ask each other at the same time.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from trio.lowlevel import Task, current_task

from ._errors import AskCycle


class Waiter(Protocol):
    """An actor, as this module sees it."""

    path: str
    waits_for: list[Waiter]
    """The actors that its handler waits for: mostly none, mostly at most one."""
    main_task: Task | None


current_actor: ContextVar[Waiter | None] = ContextVar("current_actor", default=None)
"""The actor whose handler runs in this task, or in a task that it waits for."""


def blocked_actor() -> Waiter | None:
    """The actor that handles nothing else until this task goes on; None if there is none.

    A task that a handler started in somebody else's nursery has inherited the handler's context,
    but nobody waits for it.
    """
    actor = current_actor.get()
    if actor is None:
        return None
    task: Task | None = current_task()
    while task is not None and task is not actor.main_task:
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task
    return None if task is None else actor


def reach(start: Waiter) -> list[Waiter]:
    """``start``, and all for whom it waits, directly or through others."""
    found = [start]
    for one in found:  # which grows meanwhile
        found.extend(following for following in one.waits_for if following not in found)
    return found


def check(waiter: Waiter, target: Waiter) -> None:
    """Raise `AskCycle` if ``target`` waits for ``waiter``, or is it."""
    chain = _find(target, waiter, ())
    if chain:
        path = " -> ".join([waiter.path, *(link.path for link in chain)])
        raise AskCycle(target.path, f"this would wait for itself: {path}")


def _find(start: Waiter, goal: Waiter, seen: tuple[Waiter, ...]) -> tuple[Waiter, ...]:
    seen = (*seen, start)
    if start is goal:
        return seen
    for following in start.waits_for:
        if following not in seen:
            chain = _find(following, goal, seen)
            if chain:
                return chain
    return ()
