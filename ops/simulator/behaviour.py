"""What each simulated model does: one table from its name to its behaviour.

A behaviour may set options, may refuse a request, may damage a stream. All of it is pure:
what depends on the past (attempts, turns) or on chance comes in as a `Situation`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from .dialect import Asked, Dialect, Identity, Problem
from .options import OptionError, split_name
from .steps import Cut, Ending, Finish, Frames, Hang, Headers, Reset, Start, Step


class Situation(msgspec.Struct, frozen=True):
    """What the past says about a request."""

    attempt: int = 1
    """1 for the first request with this model and prompt, 2 for the next."""
    turn: int = 1
    """1 for the first request to this model."""


class Damage(msgspec.Struct, frozen=True):
    """What a damaging behaviour may use."""

    dialect: Dialect
    asked: Asked
    identity: Identity


Refusal = Problem | list[Step]
"""Instead of an answer: an error, or the steps of something that is no HTTP answer at all."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """One model's. ``tells`` is its line in the list of models."""

    tells: str
    options: tuple[tuple[str, object], ...] = ()
    refuses: Callable[[Asked, Situation], Refusal | None] | None = None
    damages: Callable[[Frames, Damage], Frames] | None = None
    streams_only: bool = False
    """Whether a whole answer stays undamaged."""


def find(model: str) -> Behaviour | None:
    """The behaviour of ``model``: of its name, or of the longest known name before a hyphen.

    So ``sim-cut-2`` cuts like ``sim-cut``, and ``sim-ok-b`` is one more that is well.
    """
    name, _ = split_name(model)
    while name:
        if name in BEHAVIOURS:
            return BEHAVIOURS[name]
        name = name.rpartition("-")[0]
    return None


@functools.lru_cache(maxsize=64)
def faults(names: str) -> tuple[Behaviour, ...]:
    """The behaviours that the option ``faults`` names. Raises `OptionError`."""
    found = [BEHAVIOURS.get(f"sim-{name.strip()}") for name in names.split(",")]
    known = tuple(behaviour for behaviour in found if behaviour is not None)
    if len(known) < len(found):
        raise OptionError(f"faults must be names of models without their sim-, not {names!r}")
    return known


# Refusals


def _always(refusal: Refusal) -> Callable[[Asked, Situation], Refusal | None]:
    return lambda _asked, _situation: refusal


def _first_attempt(asked: Asked, situation: Situation) -> Refusal | None:
    del asked
    return Problem(kind="server_error") if situation.attempt == 1 else None


def _odd_turns(asked: Asked, situation: Situation) -> Refusal | None:
    del asked
    return Problem(kind="unavailable") if situation.turn % 2 else None


def _prefilled(asked: Asked, situation: Situation) -> Refusal | None:
    del situation
    return None if asked.prefill is None else Problem(kind="no_prefill")


def _unless_streamed(asked: Asked, situation: Situation) -> Refusal | None:
    del situation
    return None if asked.stream else Problem(kind="server_error")


def _page(status: int, headers: Headers, body: bytes) -> list[Step]:
    return [Start(status, [(b"content-type", b"text/html"), *headers], len(body)), Finish(body)]


# Damages


def two_thirds(count: int) -> int:
    """How many of ``count`` pieces are sent before a fault: at least one, if there is one."""
    return math.ceil(count * 2 / 3)


def _ends_early(ending: Ending) -> Callable[[Frames, Damage], Frames]:
    def damage(frames: Frames, _: Damage) -> Frames:
        sent = frames.content[: two_thirds(len(frames.content))]
        return replace(frames, content=sent, closing=[], end=b"", ending=ending)

    return damage


def _cut_inside(frames: Frames, _: Damage) -> Frames:
    count = two_thirds(len(frames.content))
    sent = frames.content[:count]
    half = [piece[: len(piece) // 2] for piece in frames.content[count : count + 1]]
    return replace(frames, content=sent + half, closing=[], end=b"", ending="cut")


def _garbage(frames: Frames, use: Damage) -> Frames:
    middle = len(frames.content) // 2
    bad = [use.dialect.garbage_event(), b"\x00\xff\xfe<html>502 Bad Gateway</html>\r\x80\n\n"]
    content = frames.content[:middle] + bad + frames.content[middle:]
    return replace(frames, content=content)


def _error(frames: Frames, use: Damage) -> Frames:
    sent = frames.content[: two_thirds(len(frames.content))]
    event = use.dialect.error_event(use.asked, use.identity)
    return replace(frames, content=sent, closing=[], end=event)


def _no_end(frames: Frames, _: Damage) -> Frames:
    return replace(frames, end=b"")


def _no_blank_line(frames: Frames, _: Damage) -> Frames:
    return replace(frames, end=frames.end.rstrip(b"\n"))


def _each(change: Callable[[bytes], bytes]) -> Callable[[Frames, Damage], Frames]:
    def dress(frames: Frames, _: Damage) -> Frames:
        return replace(
            frames,
            opening=[change(frame) for frame in frames.opening],
            content=[change(frame) for frame in frames.content],
            closing=[change(frame) for frame in frames.closing],
            end=change(frames.end),
        )

    return dress


def _bom(frames: Frames, _: Damage) -> Frames:
    opening = [b"\xef\xbb\xbf" + frames.opening[0], *frames.opening[1:]]
    return replace(frames, opening=opening)


def _trickled(frames: Frames, _: Damage) -> Frames:
    def split(pieces: list[bytes]) -> list[bytes]:
        return [bytes([byte]) for piece in pieces for byte in piece]

    return replace(
        frames,
        opening=split(frames.opening),
        content=split(frames.content),
        closing=split([*frames.closing, frames.end]),
        end=b"",
    )


_IN_WRITES = (("write_each", True),)

BEHAVIOURS: dict[str, Behaviour] = {
    "sim-ok": Behaviour(tells="answers"),
    "sim-long": Behaviour(tells="answers in 500 chunks", options=(("chunks", 500),)),
    "sim-tool": Behaviour(tells="calls a tool", options=(("tool_calls", 1),)),
    "sim-reasoning": Behaviour(tells="reasons before it answers", options=(("reasoning", 5),)),
    "sim-slow-first-chunk": Behaviour(
        tells="opens the stream, then takes 12 seconds to its first content",
        options=(("first_delay", 12.0),),
    ),
    # No answer at all
    "sim-silent": Behaviour(tells="accepts and never answers", refuses=_always([Hang()])),
    "sim-refuse": Behaviour(
        tells="closes the connection without an answer (a listening server cannot refuse one)",
        refuses=_always([Cut()]),
    ),
    "sim-reset": Behaviour(tells="resets before the head", refuses=_always([Reset()])),
    # Errors
    "sim-401": Behaviour(tells="401", refuses=_always(Problem(kind="unauthorized"))),
    "sim-404": Behaviour(tells="404", refuses=_always(Problem(kind="model_not_found"))),
    "sim-429": Behaviour(tells="429", refuses=_always(Problem(kind="rate_limit"))),
    "sim-429-retry-after": Behaviour(
        tells="429 with Retry-After", refuses=_always(Problem(kind="rate_limit", retry_after=1))
    ),
    "sim-500": Behaviour(tells="500", refuses=_always(Problem(kind="server_error"))),
    "sim-500-once": Behaviour(
        tells="500 at the first attempt at a prompt, then answers", refuses=_first_attempt
    ),
    "sim-503": Behaviour(tells="503", refuses=_always(Problem(kind="unavailable"))),
    "sim-529": Behaviour(
        tells="529, Anthropic's overload (elsewhere 503)",
        refuses=_always(Problem(kind="overloaded")),
    ),
    "sim-flap": Behaviour(tells="503 at every odd request", refuses=_odd_turns),
    "sim-context-length": Behaviour(
        tells="400, too long a prompt", refuses=_always(Problem(kind="context_length"))
    ),
    "sim-content-policy": Behaviour(
        tells="400, a forbidden prompt", refuses=_always(Problem(kind="content_policy"))
    ),
    "sim-no-prefill": Behaviour(
        tells="400 to a conversation that ends with the assistant's message", refuses=_prefilled
    ),
    "sim-html": Behaviour(
        tells="200 with an HTML page",
        refuses=_always(_page(200, [], b"<!doctype html><title>Sign in to the network</title>")),
    ),
    "sim-redirect": Behaviour(
        tells="307 to elsewhere",
        refuses=_always(_page(307, [(b"location", b"http://127.0.0.1:9/v1/elsewhere")], b"")),
    ),
    # Faults within the body
    "sim-cut": Behaviour(
        tells="closes between two events, after two thirds, without the end of the body",
        damages=_ends_early("cut"),
    ),
    "sim-cut-inside": Behaviour(tells="closes inside of an event", damages=_cut_inside),
    "sim-cut-reset": Behaviour(tells="resets after two thirds", damages=_ends_early("reset")),
    "sim-stall": Behaviour(
        tells="stops after two thirds, with the connection open", damages=_ends_early("hang")
    ),
    "sim-garbage": Behaviour(tells="has garbage in its middle", damages=_garbage),
    "sim-huge-frame": Behaviour(
        tells="has a frame of 10 MB in its middle", options=(("frame_size", 10_000_000),)
    ),
    "sim-error-in-stream": Behaviour(
        tells="tells an error after two thirds (whole: 500)",
        refuses=_unless_streamed,
        damages=_error,
        streams_only=True,
    ),
    "sim-no-end": Behaviour(
        tells="ends without the format's end marker (whole: truncated JSON)", damages=_no_end
    ),
    # Correct, but rarely met
    "sim-trickle": Behaviour(
        tells="answers, one byte a write", damages=_trickled, options=_IN_WRITES, streams_only=True
    ),
    "sim-crlf": Behaviour(
        tells="answers, with CRLF line ends",
        damages=_each(lambda frame: frame.replace(b"\n", b"\r\n")),
        streams_only=True,
    ),
    "sim-cr": Behaviour(
        tells="answers, with CR line ends",
        damages=_each(lambda frame: frame.replace(b"\n", b"\r")),
        streams_only=True,
    ),
    "sim-comments": Behaviour(
        tells="answers, with comments between the events",
        damages=_each(lambda frame: b": PROCESSING\n\n" + frame + b":\n"),
        streams_only=True,
    ),
    "sim-bom": Behaviour(tells="answers, with a byte order mark", damages=_bom, streams_only=True),
    "sim-multiline": Behaviour(
        tells="answers, with events of several data lines",
        damages=_each(lambda frame: frame.replace(b"data: {", b"data: {\ndata:")),
        streams_only=True,
    ),
    "sim-ids": Behaviour(
        tells="answers, with id and retry in every event",
        damages=_each(lambda frame: b"id: 7\nretry: 1\n" + frame),
        streams_only=True,
    ),
    "sim-no-blank-line": Behaviour(
        tells="answers, without the line end and blank line after the end marker",
        damages=_no_blank_line,
        streams_only=True,
    ),
}
