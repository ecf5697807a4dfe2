"""OpenAI's words for the parts of an answer, for the formats that are translated into them. Pure.

Two of the words are not OpenAI's: ``reasoning_content``, which most who speak its format use, and
``reasoning_signature`` beside it, which is Anthropic's proof of a thinking block.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .format import Choice, Chunk, Delta

NOTHING: Final = Chunk()
"""Of an event that says nothing in OpenAI's words. Never changed."""

_encode: Final = msgspec.json.Encoder().encode


def begun() -> Chunk:
    """The first of a stream: who speaks."""
    return said(Delta(role="assistant", content=""))


def said(delta: Delta) -> Chunk:
    """One more piece of the only answer."""
    return Chunk([Choice(0, delta)])


def usage_of(
    prompt: int, answer: int, cached: int | None, reasoning: int | None, *, written: int = 0
) -> dict[str, Any]:
    """What was used, in tokens.

    ``cached`` (read from a cache) and ``written`` (to it) are parts of ``prompt``, ``reasoning``
    of ``answer``.
    """
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
        if written:
            usage["prompt_tokens_details"]["cache_write_tokens"] = written
    if reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return usage


class Calls:
    """The tool calls of a stream, one after the other, numbered as they begin."""

    __slots__ = ("_number", "_said")

    def __init__(self) -> None:
        self._number = -1
        """Of the one that began last."""
        self._said: bool | None = None
        """Whether it has had any arguments; None: it has ended."""

    def begin(self, call_id: str, name: str, arguments: str = "") -> Chunk:
        """The next one begins."""
        self._number += 1
        self._said = bool(arguments)
        function = {"name": name, "arguments": arguments}
        call = {"index": self._number, "id": call_id, "type": "function", "function": function}
        return said(Delta(tool_calls=[call]))

    def go_on(self, arguments: str | None) -> Chunk:
        """More of its arguments, if there are any; none are anybody's after its end."""
        if self._said is None or not arguments:
            return NOTHING
        self._said = True
        return self._more(arguments)

    def end(self) -> Chunk:
        """One without arguments has said none: in OpenAI's words they are ``{}``."""
        has_said, self._said = self._said, None
        return self._more("{}") if has_said is False else NOTHING

    def _more(self, arguments: str) -> Chunk:
        piece = {"index": self._number, "function": {"arguments": arguments}}
        return said(Delta(tool_calls=[piece]))


class WholeMessage:
    """Gathers what a whole answer says."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._signature = ""
        self._refusal: str | None = None
        self._calls: list[dict[str, Any]] = []

    def text(self, text: str) -> None:
        """More text."""
        self._text.append(text)

    def reasoning(self, text: str, signature: str = "") -> None:
        """More reasoning."""
        self._reasoning.append(text)
        self._signature = signature or self._signature

    def refusal(self, text: str | None) -> None:
        """Why the model refused, if it did."""
        self._refusal = text

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """One more tool call."""
        function = {"name": name, "arguments": arguments}
        self._calls.append({"id": call_id, "type": "function", "function": function})

    def completion(
        self, answer_id: str, model: str | None, finish_reason: str, usage: dict[str, Any] | None
    ) -> bytes:
        """The ``chat.completion``; ``created`` is missing, and ``model`` where it is not known."""
        text = "".join(self._text) if self._text or not self._calls else None
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": self._refusal}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._signature:
            message["reasoning_signature"] = self._signature
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        body: dict[str, Any] = {"id": answer_id, "object": "chat.completion", "choices": [choice]}
        if model is not None:
            body["model"] = model
        if usage is not None:
            body["usage"] = usage
        return _encode(body)
