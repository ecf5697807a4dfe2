"""The words of a plan: what the server does on one connection, decided before it does anything.

A plan is a list of steps. Everything that knows a provider makes plans and does no IO;
`sluice.ops.simulator.server` performs them and knows no provider.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Headers = list[tuple[bytes, bytes]]


class Start(msgspec.Struct, frozen=True):
    """The head of the response. It leaves with the first bytes after it.

    ``length`` is the body's, where it is declared: of all that is not streamed.
    """

    status: int
    headers: Headers
    length: int | None = None


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
    """Never say anything again, with the connection open, until the client leaves.

    ``every`` so many seconds (if not 0) send ``comment``, as a provider that is alive does.
    """

    every: float = 0.0
    comment: bytes = b""


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
    comment: bytes = b""
    """What the provider says in a silence; nothing in a body that is not a stream."""
    ending: Ending = "finish"

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.all()))

    def all(self) -> list[bytes]:
        """Every piece, in order."""
        return [*self.opening, *self.content, *self.closing, self.end]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a body is spread over time and writes. Times in seconds."""

    first_delay: float = 0.0
    delay: float = 0.0
    pings: float = 0.0
    """Silence after which the provider says that it is alive; 0: it never does."""
    hold: int | None = None
    write_each: bool = False

    @property
    def at_once(self) -> bool:
        """Whether the whole body may go in one write."""
        return not (self.first_delay or self.delay or self.write_each) and self.hold is None


def pace(frames: Frames, speed: Pace) -> list[Step]:
    """The steps after the head that deliver ``frames`` at ``speed``."""
    if speed.at_once:
        return _ended(b"".join(frames.all()), frames, speed)
    steps: list[Step] = [Send(frame) for frame in frames.opening]
    steps += _silence(speed.first_delay, frames, speed) if speed.first_delay else []
    between = _silence(speed.delay, frames, speed)
    for number, frame in enumerate(frames.content):
        if number == speed.hold:
            steps.append(Hold())
        if number:
            steps += between
        steps.append(Send(frame))
    return steps + _last(frames, speed)


def _last(frames: Frames, speed: Pace) -> list[Step]:
    steps: list[Step] = [Hold()] if speed.hold == len(frames.content) else []
    rest = [*frames.closing, frames.end]
    if not speed.write_each:
        return steps + _ended(b"".join(rest), frames, speed)
    for piece in rest:
        steps += [Wait(0), Send(piece)]
    return steps + _ended(b"", frames, speed)


def _ended(data: bytes, frames: Frames, speed: Pace) -> list[Step]:
    """``data`` and the body's end, whichever it is; a fault comes after what was sent."""
    if frames.ending == "finish":
        return [Finish(data)]
    sent: list[Step] = [Send(data)] if data else []
    return [*sent, Wait(0), _fault(frames, speed)]


def _fault(frames: Frames, speed: Pace) -> Step:
    match frames.ending:
        case "cut":
            return Cut()
        case "reset":
            return Reset()
        case _:
            alive = speed.pings and frames.comment
            return Hang(speed.pings, frames.comment) if alive else Hang()


def _silence(seconds: float, frames: Frames, speed: Pace) -> list[Step]:
    """Wait, with a sign of life every ``speed.pings`` seconds."""
    if not speed.pings or not frames.comment:
        return [Wait(seconds)]
    count = int(seconds / speed.pings)
    signs: list[Step] = [Wait(speed.pings), Send(frames.comment)] * count
    return [*signs, Wait(seconds - count * speed.pings)]
