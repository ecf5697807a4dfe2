"""What the simulated models say: seeded, different by model and attempt, cheap to make.

All answers are windows of one long text made at start, whose tokens are kept JSON-escaped,
so that a frame is made by putting a token between two constant halves.
"""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_CORPUS = 8192
_TEXT = (
    "the of a stream actor mailbox supervisor permit slot lease chunk frame event upstream water "
    "river gate lock level flows opens closes waits carries holds turns rises falls quickly slowly "
    "evenly always never one two seven many clear bright cold narrow wide under over between while "
    "because and but so then naïve façade über Ærø 東京 水門 поток ποταμός 🌊 ✓ “quoted” can't"
)
_OTHERS = ('"', "\\", "<b>", "\t", "data:", "[DONE]", "`x = 1`", "&amp;", "\u2028", "{}")


class Call(msgspec.Struct, frozen=True):
    """A tool call: ``arguments`` are the JSON text, in the pieces in which it is streamed."""

    id: str
    name: str
    arguments: list[str]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says in one choice. Pieces are JSON-escaped UTF-8 without the quotes."""

    text: list[bytes] = []
    reasoning: list[bytes] = []
    calls: list[Call] = []
    shortened: bool = False
    """Whether the request's token limit ended it."""
    tokens: int = 0
    reasoning_tokens: int = 0


class Tool(msgspec.Struct, frozen=True):
    """A tool that the request offers: its name and the JSON schema of its arguments."""

    name: str
    parameters: dict[str, object] = {}


class Answers:
    """All that can be said, from one seed."""

    def __init__(self, seed: int) -> None:
        self._tokens, self._starts, chance = _begun(seed)
        self._random = random.Random()  # noqa: S311 -- to be repeatable is the point
        self._random.setstate(chance)

    def identifier(self, prefix: str, length: int = 24) -> str:
        """A fresh id, such as ``chatcmpl-6f0c...``."""
        return prefix + f"{self._random.getrandbits(160):040x}"[:length]

    def chance(self) -> float:
        """A fresh number in [0, 1)."""
        return self._random.random()

    def pick(self, options: Sequence[_T]) -> _T:
        """One of ``options``."""
        return self._random.choice(options)

    def pieces(self, who: bytes, attempt: int, chunks: int, size: int) -> list[bytes]:
        """``chunks`` pieces of ``size`` tokens. Another ``attempt`` begins at another sentence."""
        start = self._starts[(zlib.crc32(who) + attempt * 97) % len(self._starts)]
        tokens = self._tokens[start : start + min(chunks * size, _CORPUS)]
        while len(tokens) < chunks * size:
            tokens = (tokens * 2)[: chunks * size]
        if size == 1:
            return tokens
        return [b"".join(tokens[i : i + size]) for i in range(0, len(tokens), size)]


def escape(text: str) -> bytes:
    """``text`` as it stands in a JSON string, without the quotes around it."""
    return msgspec.json.encode(text)[1:-1]


def plain(piece: bytes) -> str:
    """The text of a JSON-escaped piece."""
    return msgspec.json.decode(b'"' + piece + b'"', type=str)


def without(prefix: str, pieces: list[bytes]) -> list[bytes] | None:
    """What of ``pieces`` comes after ``prefix``; None: they do not begin with it."""
    rest = prefix
    for number, piece in enumerate(pieces):
        text = plain(piece)
        if len(rest) < len(text):
            head = [escape(text[len(rest) :])] if text.startswith(rest) else None
            return None if head is None else head + pieces[number + 1 :]
        if not rest.startswith(text):
            return None
        rest = rest[len(text) :]
    return [] if not rest else None


def arguments_for(tool: Tool) -> str:
    """JSON arguments that fit the tool's schema, as far as its properties name simple types."""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, dict) or not properties:
        return '{"location":"Zürich","unit":"celsius"}'
    values = {name: _value(schema) for name, schema in properties.items()}
    return msgspec.json.encode(values).decode()


def in_pieces(text: str, size: int = 7) -> list[str]:
    """``text`` in pieces of ``size`` characters."""
    return [text[i : i + size] for i in range(0, len(text), size)]


def _value(schema: object) -> object:
    if not isinstance(schema, dict):
        return "water"
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return options[0]
    simple: dict[object, object] = {
        "string": "Zürich",
        "number": 1.5,
        "integer": 3,
        "boolean": True,
        "array": [],
        "object": {},
        "null": None,
    }
    return simple.get(schema.get("type"), "water")


@functools.lru_cache(maxsize=8)
def _begun(seed: int) -> tuple[list[bytes], list[int], tuple[Any, ...]]:
    """All tokens, where sentences start, and how chance goes on; once for all of the same seed."""
    chance = random.Random(seed)  # noqa: S311 -- to be repeatable is the point
    text = _corpus(chance)
    starts = [i for i, token in enumerate(text) if token[0].isupper()]
    return [escape(token) for token in text] * 2, starts, chance.getstate()


def _corpus(rng: random.Random) -> list[str]:
    """Sentences of known words, with line breaks and what a sloppy relay would trip over."""
    words = _TEXT.split()
    tokens: list[str] = []
    while len(tokens) < _CORPUS:
        sentence = rng.choices(words, k=rng.randint(4, 12))
        if rng.random() < 0.2:
            sentence[-1] = rng.choice(_OTHERS)
        tokens.append(sentence[0].capitalize())
        tokens += [" " + word for word in sentence[1:]]
        tokens.append(".\n\n" if rng.random() < 0.15 else ". ")
    return tokens[:_CORPUS]
