"""OpenAI's answers, as far as they are read to be told in another format. Pure.

What a provider sent is a stranger's: where it is not what its format says, the answer ends with
a `Failure`, rather than as something that nobody said.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from sluice.actors.failures import Failure
from sluice.actors.formats.reading import malformed


class CallFunction(msgspec.Struct, gc=False):
    """The function of a call, or a piece of it; ``arguments`` are JSON, or a piece of that."""

    name: str | None = None
    arguments: str | None = None


class CallPiece(msgspec.Struct, gc=False):
    """A call of a tool, or a piece of one."""

    index: int = 0
    id: str | None = None
    function: CallFunction = msgspec.field(default_factory=CallFunction)


class Message(msgspec.Struct):
    """What the model said."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_signature: str | None = None
    tool_calls: list[CallPiece] | None = None


class Choice(msgspec.Struct):
    """One of the answers."""

    message: Message
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A ``chat.completion``."""

    choices: list[Choice]
    usage: dict[str, Any] | None = None


_completion: Final = msgspec.json.Decoder(Completion)
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_completion(body: bytes) -> tuple[Choice, Usage]:
    """The first answer in ``body`` and its usage. Raises a 502 `Failure`."""
    try:
        completion = _completion.decode(body)
    except msgspec.MsgspecError as error:
        raise malformed("answer", "provider_call") from error
    choice = completion.choices[0] if completion.choices else Choice(Message())
    return choice, usage_in(completion.usage)


def reason_of(finish_reason: str | None, *, called: bool) -> str:
    """Why the answer is over. One that ends with the call it was told to make is OpenAI's ``stop``.

    In the other formats every answer that calls a tool ends for that reason, and clients go by it.
    """
    if called and finish_reason in {None, "stop"}:
        return "tool_calls"
    return finish_reason or ""


def arguments_of(call: CallPiece) -> dict[str, msgspec.Raw]:
    """The arguments of a whole call: an object. Raises a 502 `Failure`."""
    try:
        return _object.decode((call.function.arguments or "{}").encode())
    except msgspec.MsgspecError as error:
        raise malformed("answer", "provider_call") from error


def text_in(value: object) -> str:
    """Text that a delta adds, empty if none. Raises a 502 `Failure`."""
    if not value:
        return ""
    if not isinstance(value, str):
        raise _malformed()
    return value


def calls_in(tool_calls: object) -> list[CallPiece]:
    """The pieces of calls that a delta adds. Raises a 502 `Failure`."""
    if not tool_calls:
        return []
    try:
        return msgspec.convert(tool_calls, list[CallPiece])
    except msgspec.ValidationError as error:
        raise _malformed() from error


class OpenCall:
    """Which call of a stream its pieces belong to: calls come one after the other."""

    __slots__ = ("_id", "_index")

    def __init__(self) -> None:
        self._index: int | None = None
        self._id = ""

    def begins_with(self, piece: CallPiece) -> bool:
        """Whether ``piece`` is the first one of another call. Raises a 502 `Failure`.

        By its index; and by its id, for those who count none. A piece without a name that
        belongs to no open call is one that comes too late.
        """
        if piece.index == self._index and piece.id in {None, "", self._id}:
            return False
        if not piece.function.name:
            raise _malformed()
        self._index, self._id = piece.index, piece.id or ""
        return True

    def close(self) -> None:
        """Something else has begun."""
        self._index, self._id = None, ""


class Usage(NamedTuple):
    """Tokens: OpenAI counts cached ones among the prompt's, reasoning among the completion's."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    """Read from a cache."""
    written: int = 0
    """To a cache."""
    reasoning: int = 0
    finished_by: dict[str, Any] | None = None
    """Who gave the rest of an answer that broke off, and is counted here too: see `Splice`."""


def usage_in(usage: object) -> Usage:
    """The counts in an OpenAI ``usage``; what it does not tell is 0."""
    if not isinstance(usage, dict):
        return Usage()
    prompt, completion = (usage.get(f"{each}_tokens_details") for each in ("prompt", "completion"))
    finisher = usage.get("finished_by")
    return Usage(
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        _count(prompt, "cached_tokens"),
        _count(prompt, "cache_write_tokens"),
        _count(completion, "reasoning_tokens"),
        finisher if isinstance(finisher, dict) else None,
    )


def _count(counts: object, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _malformed() -> Failure:
    """Of a chunk that could be read, and must not be left out: nobody would know what it said."""
    return malformed("answer", "streaming")
