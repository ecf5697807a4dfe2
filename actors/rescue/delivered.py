"""What a client has been told of an answer: what another provider would have to go on from. Pure.

Frames are chat completion chunks in OpenAI's words, decoded whole: what we do not know in them
is what makes a rescue impossible, and must be seen for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

Frame = dict[str, Any]
"""One chunk, as JSON has it."""

ENVELOPE: Final = ("id", "object", "created", "model")
"""What is the same in every chunk of one answer."""

REASONING: Final = ("reasoning_content", "reasoning", "reasoning_signature")
_TEXT: Final = frozenset({"role", "content", *REASONING})
"""What a delta may say that a rescue can go on from."""

TEXT_LIMIT: Final = 1 << 18
"""Characters of an answer that are remembered."""


class Delivered(msgspec.Struct, kw_only=True):
    """One answer, as far as its client has it."""

    envelope: Frame = {}
    """The `ENVELOPE` of its first chunk."""
    role: bool = False
    """Whether who speaks was said."""
    pieces: list[str] = []
    """The text."""
    length: int = 0
    """Characters of it."""
    reasoned: bool = False
    """Whether there was any reasoning; its words are not kept."""
    usage: Frame | None = None
    """The last that was said of it."""
    finish_reason: str | None = None
    obstacle: str | None = None
    """Why nobody can go on from here, in a word; None: somebody can."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    def add(self, frame: Frame) -> None:
        """Take note of ``frame``, which the client gets."""
        if not self.envelope:
            self.envelope = {key: frame[key] for key in ENVELOPE if key in frame}
        if isinstance(frame.get("usage"), dict):
            self.usage = frame["usage"]
        for choice in frame.get("choices") or ():
            self._add_choice(choice)

    def _add_choice(self, choice: Frame) -> None:
        if choice.get("index", 0) != 0:
            self.obstacle = "several_choices"
        if choice.get("logprobs"):
            self.obstacle = "logprobs"
        self._add_delta(choice.get("delta") or {})
        self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _add_delta(self, delta: Frame) -> None:
        said = {key for key, value in delta.items() if value}
        content = delta.get("content") or ""
        self.role = self.role or "role" in said
        self.reasoned = self.reasoned or not said.isdisjoint(REASONING)
        if {"tool_calls", "function_call"} & said:
            self.obstacle = "tool_call"
        elif said - _TEXT or not isinstance(content, str):
            self.obstacle = "not_text"
        elif self.length + len(content) > TEXT_LIMIT:
            self.obstacle = "too_long"
        elif content:
            self.pieces.append(content)
            self.length += len(content)


def added_up(one: Mapping[str, Any], other: Mapping[str, Any]) -> Frame:
    """The sum of two usages, number by number, however deep; what only one says stays."""
    total = {**one, **other}
    for key in one.keys() & other.keys():
        first, second = one[key], other[key]
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            total[key] = added_up(first, second)
        elif _is_number(first) and _is_number(second):
            total[key] = first + second
        elif second is None:
            total[key] = first
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
