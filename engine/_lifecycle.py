"""The life of an actor at one address, as a table.

Rule 1: every transition is in this file.

=============  =======================================================  =========  ===========
state          means                                                    asks are   tells are
=============  =======================================================  =========  ===========
``new``        declared; its supervisor has never started it            refused    kept
``starting``   its `on_start` is running                                kept       kept
``running``    it handles its mail                                      handled    handled
``paused``     an operator holds it: mail is kept, nothing is handled   kept       kept
``stopping``   it was asked to stop; `on_stop` is running               kept       kept
``waiting``    down, and its supervisor will start it again             kept       kept
``stopped``    down for good, or until an operator restarts it          refused    dead letters
=============  =======================================================  =========  ===========
"""

from __future__ import annotations

from typing import Final, Literal

State = Literal["new", "starting", "running", "paused", "stopping", "waiting", "stopped"]
Step = Literal["start", "ready", "pause", "resume", "stop", "down", "retire"]

TRANSITIONS: Final[dict[State, dict[Step, State]]] = {
    "new": {"start": "starting", "retire": "stopped"},
    "starting": {"ready": "running", "stop": "stopping", "down": "waiting"},
    "running": {"pause": "paused", "stop": "stopping", "down": "waiting"},
    "paused": {"resume": "running", "stop": "stopping", "down": "waiting"},
    "stopping": {"down": "waiting"},
    "waiting": {"start": "starting", "retire": "stopped"},
    "stopped": {"start": "starting"},
}

UP: Final[frozenset[State]] = frozenset({"starting", "running", "paused", "stopping"})
"""States in which there is an incarnation."""

REFUSES_ASKS: Final[frozenset[State]] = frozenset({"new", "stopped"})


class LifecycleError(AssertionError):
    """A transition that is not in the table: a bug of the engine, never of its user."""


def follow(state: State, step: Step) -> State:
    """The state after ``step``. Raises `LifecycleError` if the table has no such transition."""
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise LifecycleError(f"no {step!r} in state {state!r}") from None
