"""What may not be done to what, although the engine could: why, and what to do instead. Pure.

An operator who does one of these would find clients that wait for nobody, or a worker that nobody
can reach any more.
"""

from __future__ import annotations

from .orders import CONTROL, Action
from .paths import WORKERS, Target
from .protocol import Refused


def refuse(action: Action, target: Target, *, several: bool) -> None:
    """Raise `Refused` if ``action`` may not be done to ``target``; ``several``: with workers."""
    why = why_not(action, target, several=several)
    if why:
        raise Refused("not_possible", f"{target}: {why}")


def why_not(action: Action, target: Target, *, several: bool) -> str:
    """Why ``action`` may not be done to ``target``; empty: it may."""
    if not target.actor and not target.process:
        return _of_the_root(action, several=several)
    if target.process and target.actor == CONTROL and action in {"pause", "stop"}:
        return (
            f"operators reach {target.process} through it, and could not undo that;"
            f" `sluice restart {target}` restarts it"
        )
    if target.actor == "edge" and action == "stop":
        return _of_the_edge(target)
    return ""


def _of_the_root(action: Action, *, several: bool) -> str:
    """The root is the service; the engine says what is below it to who pauses or resumes it."""
    end = "`sluice drain` ends it in order"
    if action == "stop":
        return f"that is the service as a whole; {end}"
    if action != "restart":
        return ""
    how = f"`sluice restart {WORKERS}` replaces all its workers, and loses no stream; "
    return (
        "that is the service as a whole, which cannot start itself anew; "
        f"{how if several else ''}{end}, and whoever started it starts it again"
    )


def _of_the_edge(target: Target) -> str:
    if target.process:
        instead = f"`sluice stop {WORKERS}/{target.process}` stops its worker: others take over"
    else:
        instead = "`sluice drain` ends the service in order"
    streams = Target("streams", target.process)
    return (
        "clients would connect, and wait for nobody;"
        f" `sluice stop {streams}` has it refuse new streams, and answer all else; {instead}"
    )
