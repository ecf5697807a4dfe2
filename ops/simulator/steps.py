"""The words of a plan: what the server does on one connection, decided before it does anything.

A plan is a list of steps. Everything that knows a provider makes plans and does no IO;
`sluice.ops.simulator.server` performs them and knows no provider.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Headers = list[tuple[bytes, bytes]]


class Start(msgspec.Struct, frozen=True):
    """The head of the response. It leaves with the first bytes after it."""

    status: int
    headers: Headers


class Send(msgspec.Struct, frozen=True):
    """Bytes of the body, in one write."""

    data: bytes


class Wait(msgspec.Struct, frozen=True):
    """Do nothing for ``seconds``; 0 lets others run, so that a reader may see what was sent."""

    seconds: float


class Hold(msgspec.Struct, frozen=True):
    """Do nothing until somebody releases all that is held."""


class Finish(msgspec.Struct, frozen=True):
    """Bytes of the body and its proper end, in one write."""

    data: bytes = b""


class Cut(msgspec.Struct, frozen=True):
    """Close the connection (FIN), with whatever was sent so far and no end of the body."""


class Reset(msgspec.Struct, frozen=True):
    """Reset the connection (RST)."""


class Hang(msgspec.Struct, frozen=True):
    """Never do anything again, with the connection open, until the client leaves."""


Step = Start | Send | Wait | Hold | Finish | Cut | Reset | Hang
Ending = Literal["finish", "cut", "reset", "hang"]


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """A body before it has a pace: what is sent, in the pieces in which it is sent.

    ``opening`` comes at once, ``content`` with the delays, ``closing`` (why it stopped, usage)
    and ``end`` (the format's end marker) at once after it.
    """

    opening: list[bytes] = []
    content: list[bytes] = []
    closing: list[bytes] = []
    end: bytes = b""
    ending: Ending = "finish"

    def all(self) -> list[bytes]:
        """Every piece, in order."""
        return [*self.opening, *self.content, *self.closing, self.end]


_ENDINGS: dict[Ending, Step] = {
    "finish": Finish(),
    "cut": Cut(),
    "reset": Reset(),
    "hang": Hang(),
}


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a body is spread over time and writes. Times in seconds."""

    first_delay: float = 0.0
    delay: float = 0.0
    hold: int | None = None
    write_each: bool = False

    @property
    def at_once(self) -> bool:
        """Whether the whole body may go in one write."""
        return not (self.first_delay or self.delay or self.write_each) and self.hold is None


def pace(frames: Frames, speed: Pace) -> list[Step]:
    """The steps after the head that deliver ``frames`` at ``speed``."""
    if speed.at_once:
        return _at_once(frames)
    steps: list[Step] = [Send(frame) for frame in frames.opening]
    if speed.first_delay:
        steps.append(Wait(speed.first_delay))
    for number, frame in enumerate(frames.content):
        if number == speed.hold:
            steps.append(Hold())
        if number:
            steps.append(Wait(speed.delay))
        steps.append(Send(frame))
    steps.extend(_last(frames, speed))
    return steps


def _at_once(frames: Frames) -> list[Step]:
    data = b"".join(frames.all())
    if frames.ending == "finish":
        return [Finish(data)]
    return [Send(data), Wait(0), _ENDINGS[frames.ending]]


def _last(frames: Frames, speed: Pace) -> list[Step]:
    pieces = [*frames.closing, frames.end] if frames.end else list(frames.closing)
    hold: list[Step] = [Hold()] if speed.hold == len(frames.content) else []
    if frames.ending != "finish":
        return [*hold, *(Send(piece) for piece in pieces), Wait(0), _ENDINGS[frames.ending]]
    if not speed.write_each:
        return [*hold, Finish(b"".join(pieces))]
    spread = [step for piece in pieces for step in (Wait(0), Send(piece))]
    return [*hold, *spread, Finish()]
