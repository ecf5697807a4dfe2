"""How a simulated model answers: defaults from flags, changed by the model's own name.

``sim-ok?chunks=3&delay=0.5`` is ``sim-ok`` with two options of its own; the part after the
question mark is a query string of the fields of `Options`.
"""

from __future__ import annotations

import functools
import urllib.parse

import msgspec

from .steps import Pace


class OptionError(Exception):
    """A model's name asks for an option that does not exist, or for a wrong value of one."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds, sizes in bytes."""

    chunks: int = 20
    """Pieces of text in an answer."""
    chunk_size: int = 1
    """Tokens (words, roughly) in a piece."""
    delay: float = 0.0
    """Between two pieces."""
    first_delay: float = 0.0
    """Between what opens a stream and its first content; for a whole answer, before it."""
    head_delay: float = 0.0
    """Before the head of the response."""
    pings: float = 0.0
    """Silence in a stream after which the provider gives a sign of life; 0: it never does."""
    write_each: bool = False
    """One write for each frame, instead of one for all, when there is no delay."""
    same: bool = False
    """Identical answers, whatever the model, the prompt and the attempt."""
    reasoning: int = 0
    """Pieces of reasoning before the text."""
    tool_calls: int = 0
    """Calls of tools, instead of text."""
    frame_size: int = 0
    """If not 0: the size of the text in the answer's middle piece."""
    hold: int | None = None
    """Stop before this piece of content (counted from 0) until ``POST /sim/release``."""
    retry_after: int = 1
    """What ``sim-429-retry-after`` says."""
    probability: float = 0.0
    """That a request to a model which names no fault gets one of ``faults``."""
    faults: str = "503,cut,cut-reset,stall,garbage,error-in-stream,no-end,reset"
    """Names of models without their ``sim-``, separated by commas."""

    @property
    def pace(self) -> Pace:
        """The part that says how a body is spread over time."""
        return Pace(
            first_delay=self.first_delay,
            delay=self.delay,
            pings=self.pings,
            hold=self.hold,
            write_each=self.write_each,
        )


@functools.lru_cache(maxsize=1024)
def split_name(model: str) -> tuple[str, dict[str, str]]:
    """The model's name without its options, and these. Do not change what is returned."""
    name, _, query = model.partition("?")
    return name, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


@functools.lru_cache(maxsize=1024)
def options_for(
    model: str, defaults: Options, of_behaviour: tuple[tuple[str, object], ...]
) -> Options:
    """``defaults``, then what the behaviour sets, then what the name asks for.

    Raises:
        OptionError: an unknown option, or a value that is not of its type or range.
    """
    _, asked = split_name(model)
    known = Options.__struct_fields__
    for key in asked:
        if key not in known:
            raise OptionError(f"unknown option {key!r}; there are: {', '.join(known)}")
    values = msgspec.structs.asdict(defaults) | dict(of_behaviour) | asked
    try:
        options = msgspec.convert(values, Options, strict=False)
    except msgspec.ValidationError as error:
        raise OptionError(str(error)) from None
    return checked(options)


def checked(options: Options) -> Options:
    """``options``, if every one is in its range. Raises `OptionError`."""
    for name, value in msgspec.structs.asdict(options).items():
        if isinstance(value, int | float) and not 0 <= value < float("inf"):
            raise OptionError(f"{name} must not be negative or infinite")
    if options.probability > 1:
        raise OptionError("probability must be at most 1")
    if not options.chunk_size:
        raise OptionError("chunk_size must be at least 1")
    if max(options.chunks, options.reasoning) * options.chunk_size > 1_000_000:
        raise OptionError("an answer has at most 1,000,000 tokens")
    return options
