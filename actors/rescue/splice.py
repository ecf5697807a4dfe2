"""Making another answer go on where the first one stopped, so that a client sees one. Pure.

The client's stream keeps one ``id``, ``model`` and ``created``, one role, one usage (the sum)
and one finish reason. What of the other answer its client has already is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .delivered import ENVELOPE, REASONING, Delivered, Frame, added_up
from .overlap import Overlap


class Splice:
    """Turns the frames of another answer into those that go on with what was told.

    Args:
        told: what the client has; kept up to date with what it gets from here.
        overlap: what the other answer is expected to repeat of it.
        finisher: who gives the other answer: put beside its usage as ``finished_by``.
    """

    def __init__(self, told: Delivered, overlap: Overlap, finisher: Mapping[str, str]) -> None:
        self.told = told
        self.went_on = False
        """Whether the client has got anything of it."""
        self._overlap = overlap
        self._finisher = dict(finisher)
        self._usage_before = told.usage
        # A second train of thought would not fit to the first, nor into an answer under way.
        self._mute = told.reasoned or told.length > 0

    def __repr__(self) -> str:
        return f"<Splice after {self.told.length} characters, {self._overlap!r}>"

    def take(self, frame: Frame) -> Frame | None:
        """``frame`` as the client gets it; None: there is nothing new in it. Raises `Differs`."""
        choices = [
            self._choice(choice)
            for choice in frame.get("choices") or ()
            if choice.get("index", 0) == 0
        ]
        usage = frame.get("usage")
        if not any(map(_says_something, choices)):
            # Before its end it is a usage so far; behind it some tell it with an empty choice.
            if not usage or (choices and self.told.finish_reason is None):
                return None
            choices = []
        spliced = {**frame, "choices": choices}
        for key in ENVELOPE:
            spliced.pop(key, None)
        spliced = {**self.told.envelope, **spliced} if self.told.envelope else {**frame, **spliced}
        if isinstance(usage, dict):
            spliced["usage"] = self._usage(usage)
        self.told.add(spliced)
        self.went_on = True
        return spliced

    def broke_off(self, usage: Frame | None) -> None:
        """The other answer broke off too. ``usage``: what it said of it as it began."""
        if self.went_on and usage is not None and self.told.usage is self._usage_before:
            self.told.usage = self._usage(usage)

    def end(self) -> None:
        """The other answer is over. Raises `Differs`, if it did not come as far as the first."""
        self._overlap.end()

    def _choice(self, choice: Frame) -> Frame:
        delta = {key: each for key, each in (choice.get("delta") or {}).items() if self._fits(key)}
        content = delta.get("content")
        if any(each for key, each in delta.items() if key not in {"role", "content", *REASONING}):
            self._overlap.end()
        if isinstance(content, str):
            delta["content"] = self._overlap.beyond(content)
        elif content:  # parts, of which nobody knows what they repeat
            self._overlap.end()
        if choice.get("finish_reason"):
            self._overlap.end()
        return {**choice, "delta": delta}

    def _fits(self, key: str) -> bool:
        if key == "role":
            return not self.told.role
        return not (self._mute and key in REASONING)

    def _usage(self, usage: Frame) -> Frame:
        total = usage if self._usage_before is None else added_up(self._usage_before, usage)
        return {**total, "finished_by": self._finisher}


def _says_something(choice: Mapping[str, Any]) -> bool:
    return bool(choice.get("finish_reason")) or any(choice["delta"].values())
